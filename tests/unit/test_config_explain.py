"""`config show`: every setting, as it would be written, with the line it came from; what is shown can be saved and means the same."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elabs.config.document import dotted
from elabs.config.explain import as_json, as_yaml, explain
from elabs.config.load import load, read
from elabs.config.tree import settings as all_settings

TEXT = """
site:
  name: Estación
  listen: "[::]:443"
labs:
  idle: {after: 90m}
sizes:
  big: {memory: 16G}
login:
  oauth: {class: github, client_id: abc, allowed_organizations: [a, b], enable_auth_state: false}
"""


def test_every_setting_is_shown_with_its_source(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elabs.yaml").write_text(TEXT)
    shown = {dotted(setting.where): (setting.value, setting.source) for setting in explain(read(tmp_path / "elabs.yaml"))}
    assert shown["site.name"] == ("Estación", "elabs.yaml:3")
    assert shown["site.language"] == ("auto", "default")
    assert shown["labs.idle.after"] == ("1h 30m", "elabs.yaml:6")
    assert shown["sizes.big.memory"] == ("16G", "elabs.yaml:8")
    assert shown["sizes.big.cpu"] == (2.0, "default")
    assert shown["sizes.large.memory"] == ("8G", "default")
    assert shown["login.oauth.allowed_organizations"] == (["a", "b"], "elabs.yaml:10")
    assert shown["login.method"] == ("oauth", "default")
    plain = {dotted(where) for where, node in all_settings() if not node.children and "NAME" not in where}
    below_nothing = {
        name for name in plain if name.startswith(("site.tls.", "login.ldap.", "kubernetes.ingress.", "kubernetes.gateway.", "kubernetes.outpost."))
    }
    assert plain - below_nothing <= shown.keys() | {"login.oauth"}
    assert json.loads(as_json(explain(read(None))))["storage.pool"] == {"value": "20G", "source": "default"}


def test_every_setting_of_a_section_in_use_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "elabs.yaml"
    path.write_text("login: {ldap: {server: x, search_base: y}}\n")
    shown = {dotted(setting.where) for setting in explain(read(path))}
    assert {dotted(where) for where, node in all_settings() if where[:2] == ("login", "ldap") and not node.children} <= shown


def saved(path: Path) -> Path:
    """What is shown of a file, saved as another."""
    other = path.with_name("shown.yaml")
    other.write_text("".join(f"{line}  # {source}\n" for line, source in as_yaml(explain(read(path)))))
    return other


def test_what_is_shown_can_be_saved_and_means_the_same(tmp_path: Path) -> None:
    path = tmp_path / "elabs.yaml"
    path.write_text(TEXT)
    assert load(saved(path)) == load(path)


_VALUES = st.recursive(
    st.one_of(st.text(), st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(
    name=st.text(min_size=1, max_size=80),
    admins=st.lists(st.text(min_size=1), max_size=4),
    traits=st.dictionaries(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), _VALUES, max_size=4),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_any_text_is_shown_so_that_it_reads_back(tmp_path: Path, name: str, admins: list[str], traits: dict[str, Any]) -> None:
    traits = {key: value for key, value in traits.items() if not key.endswith(("secret", "password"))} | {"class": "github"}
    traits.pop("client_secret_file", None)
    path = tmp_path / "elabs.yaml"
    path.write_text(json.dumps({"site": {"name": name}, "login": {"admins": admins, "oauth": traits}}))
    assert load(saved(path)) == load(path)
