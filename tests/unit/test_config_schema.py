"""The JSON schema accepts what the model accepts, and, setting by setting, refuses what it refuses (mistakes between settings are the model's alone)."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elabs.config import tree
from elabs.config.load import ConfigError, read
from elabs.config.model import Config
from elabs.config.schema import DIALECT, schema

VALIDATOR = jsonschema.Draft202012Validator(schema())


def schema_accepts(data: object) -> bool:
    return bool(VALIDATOR.is_valid(data))


def model_accepts(data: object) -> bool:
    try:
        Config.model_validate(data)
    except ValidationError:
        return False
    return True


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == DIALECT
    assert schema_accepts({})
    assert schema_accepts(json.loads(Config().model_dump_json()))


# Values for each kind of setting: good ones, and ones that a person might write instead.
_GOOD: dict[str, list[Any]] = {
    "text": ["x", "Estación 7"],
    "duration": ["1h", "90s", "1h 30m", "2 d"],
    "size in bytes": ["4G", "512M", "1.5T", 2**32],
    "path": ["tls/x.pem", "/etc/x"],
    "name": ["a", "gis-2"],
    "host": ["ldap.example.org", "10.0.0.1", "::1", "[::1]"],
    "network": ["10.1.0.0/16", "192.168.1.1"],
    "address:port": ["127.0.0.1:8000", "[::]:443"],
    "address of a site": ["https://x.example.org", "http://x:8000/"],
    "address with https": ["https://x.example.org", "https://x:8001/"],
    "name in Kubernetes": ["ceph-filesystem", "a.b"],
    "image reference": ["elabs", "registry.example.org:5000/elabs/lab@sha256:aa"],
    "taint": ["nvidia.com/gpu", "a=b:NoSchedule", "a:NoExecute"],
    "time of day": ["08:45", "23:59"],
    "true or false": [True, False],
    "whole number": [64, 100, 636],
    "number": [1, 0.5, 8.0],
}
_BAD: list[Any] = [True, None, -1, "", "1 hour", "4X", [], {}, ["x", 5], {"a": 1}, 1.5, "A B", "x" * 100, 10**9]


def _values(node: tree.Node) -> list[Any]:
    if "enum" in node.plain:
        return list(node.plain["enum"])
    if "const" in node.plain:
        return [node.plain["const"]]
    if node.plain.get("type") == "array":
        return [[], _values(tree.Node(node.plain["items"]))]
    if node.kind == "settings":
        numbers = (node.plain.get("additionalProperties") or {}) == {"type": "integer"}
        return [{}, {"nvidia.com/gpu": 1} if numbers else {"class": "github", "client": "x"}]
    return _GOOD[node.kind]


def samples(node: tree.Node, bad: bool) -> st.SearchStrategy[Any]:
    """Values for a setting, or a section of them; with `bad`, here and there one of the wrong kind."""
    if node.is_map:
        found = st.dictionaries(
            st.sampled_from(["small", "a", "gis-2", *(["A B", ""] if bad else [])]), samples(node.children[tree.ANY_NAME], bad), min_size=1, max_size=2
        )
    elif node.is_section:
        required = {name: samples(child, bad) for name, child in node.children.items() if child.required}
        optional = {name: samples(child, bad) for name, child in node.children.items() if not child.required}
        found = st.fixed_dictionaries(required, optional=optional)
    else:
        found = st.sampled_from(_values(node))
    choices = [found, st.sampled_from(_BAD)] if bad else [found, st.none()] if node.nullable else [found]
    return st.one_of(*choices)


@given(samples(tree.root(), bad=False))
@settings(deadline=None, max_examples=60)
def test_the_schema_accepts_what_the_model_accepts(data: dict[str, Any]) -> None:
    assert schema_accepts(data)
    assume(model_accepts(data))
    assert schema_accepts(json.loads(Config.model_validate(data).model_dump_json()))


PLAIN = [(where, node) for where, node in tree.settings() if not node.children]


@pytest.mark.parametrize(("where", "node"), PLAIN, ids=[".".join(map(str, where)) for where, _ in PLAIN])
def test_model_and_schema_agree_on_each_setting_alone(where: tuple[str, ...], node: tree.Node) -> None:
    for value in [*_values(node), *_BAD]:
        data = _around(where, value)
        by_model, by_schema = _agrees(data, where), schema_accepts(data)
        if by_model:
            assert by_schema or (where, value) == (("version",), True), f"the schema refuses {value!r}"
        elif by_schema:
            # What only the model refuses: texts and numbers of the right kind that mean nothing, like a filter without a placeholder, or a size below the smallest.
            assert type(value) in (str, int) or value == {} or where[-1] == "bind_template", f"the schema accepts {value!r}"


def _around(where: tuple[str, ...], value: object) -> dict[str, Any]:
    """The smallest file with this value at that place: what sections must have is there."""
    data: dict[str, Any] = {}
    place, node = data, tree.root()
    for part in where[:-1]:
        name = "a" if part == tree.ANY_NAME else part
        child = node.child(part)
        assert child
        place[name] = {key: _values(other)[0] for key, other in child.children.items() if other.required}
        if name == "ldap":
            place[name] |= {"search_base": "x", "search_user": "x", "search_password_file": "x"}
        place, node = place[name], child
    place[where[-1]] = value
    return data


def _agrees(data: dict[str, Any], where: tuple[str, ...]) -> bool:
    """Whether the model finds nothing wrong with the setting itself, mistakes between settings aside."""
    try:
        Config.model_validate(data)
    except ValidationError as error:
        return all(found["type"] == "between" or found["type"] == "default_factory_not_called" for found in error.errors())
    return True


def test_an_empty_section_is_its_defaults_to_both(tmp_path: Any) -> None:
    for where, node in tree.settings():
        if node.is_section and tree.ANY_NAME not in where:
            data = _around(where, None)
            (tmp_path / "elabs.yaml").write_text(json.dumps(data))
            try:
                read(tmp_path / "elabs.yaml")
                accepted = True
            except ConfigError:
                accepted = False
            assert accepted == schema_accepts(data), where


def test_wrong_keys_are_wrong_to_both() -> None:
    for where, node in tree.settings():
        if node.is_section:
            data = _around((*where, "unknown_key"), 1)
            assert not schema_accepts(data), where
            assert not model_accepts(data), where
