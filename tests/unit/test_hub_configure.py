"""JupyterHub's configuration: only set, complete, and the snippets last."""

from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config as Traits
from traitlets.config import LazyConfigValue

from elabs.config.model import Config
from elabs.config.state import State
from elabs.hub.app import Hub
from elabs.hub.configure import SnippetError, configure, culler_command, labs_of_the_daemon, landing, run_snippets
from elabs.hub.place import on_one_machine
from elabs.hub.proxy import ERROR_PAGES, command
from elabs.hub.roles import ADMINISTRATORS, roles
from elabs.hub.spawner import LabSpawner
from elabs.storage.ids import Instance


def one_machine(traits: Traits, config: Config, state: State, instance: Instance) -> None:
    configure(traits, config, on_one_machine(config, state, instance), lambda c: labs_of_the_daemon(c, config, state))


def made(tmp_path: Path, **settings: Any) -> tuple[Traits, State, Instance]:
    state = State(tmp_path / "state")
    (state.hub / "secrets").mkdir(parents=True)
    (state.hub / "secrets/proxy_token").write_text("p" * 32 + "\n")
    (state.hub / "secrets/status_token").write_text("s" * 32 + "\n")
    instance = Instance(0, str(state.root), 1879048192, "198.18.0.0/20")
    traits = Traits()
    one_machine(traits, Config.model_validate(settings), state, instance)
    return traits, state, instance


def test_everything_is_set_under_a_name_that_jupyterhub_knows(tmp_path: Path) -> None:
    traits, _, _ = made(tmp_path, labs={"idle": {"after": "30m"}})
    classes = {cls.__name__: cls for top in (Hub, LabSpawner, traits.JupyterHub.authenticator_class) for cls in top.mro()}
    from jupyterhub.proxy import ConfigurableHTTPProxy

    classes["ConfigurableHTTPProxy"] = ConfigurableHTTPProxy
    for section, values in traits.items():
        for name, value in values.items():
            assert name in classes[section].class_trait_names(config=True), f"{section}.{name}"
            assert not isinstance(value, LazyConfigValue), f"{section}.{name} is changed and not set"


def test_where_everybody_listens(tmp_path: Path) -> None:
    traits, state, _ = made(tmp_path, site={"listen": "0.0.0.0:443", "url": "https://lab.example.org"})
    assert traits.JupyterHub.hub_bind_url == "http://198.18.0.1:8081"
    assert traits.JupyterHub.bind_url == "http://0.0.0.0:443/"
    assert traits.JupyterHub.public_url == "https://lab.example.org"
    assert traits.ConfigurableHTTPProxy.api_url == "http://198.18.0.2:8001"
    assert traits.ConfigurableHTTPProxy.auth_token == "p" * 32
    assert traits.JupyterHub.db_url == f"sqlite:///{state.hub}/jupyterhub.sqlite"
    assert traits.LabSpawner.socket == str(state.socket)


def test_labs_outlive_the_hub_and_administrators_do_not_enter_them(tmp_path: Path) -> None:
    traits, _, _ = made(tmp_path, login={"admins": ["ana"]})
    assert traits.JupyterHub.cleanup_servers is False
    assert traits.JupyterHub.cleanup_proxy is False
    assert traits.ConfigurableHTTPProxy.should_start is False
    role = next(role for role in traits.JupyterHub.load_roles if role["name"] == "administrator")
    assert (role["users"], role["groups"]) == (["ana"], [ADMINISTRATORS])
    assert not {scope for scope in role["scopes"] if scope.startswith(("access:", "admin:", "tokens", "shares", "users", "groups"))}


def test_services_have_the_least_scopes(tmp_path: Path) -> None:
    found = {role["name"]: set(role["scopes"]) for role in roles([], ["culler", "elabs-status"])}
    assert found["culler"] == {"list:users", "read:users:activity", "read:servers", "delete:servers"}
    assert found["elabs-status"] == {"list:users", "read:users:activity", "read:servers"}


def test_the_idle_rule_is_the_cullers(tmp_path: Path) -> None:
    assert "--timeout=3600" in culler_command(3600)
    assert "--cull-every=300" in culler_command(3600)
    assert "--cull-every=5" in culler_command(10)
    traits, _, _ = made(tmp_path, labs={"idle": {"after": 0}})
    assert [service["name"] for service in traits.JupyterHub.services] == ["elabs-status"]


def test_a_missing_secret_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        one_machine(Traits(), Config(), State(tmp_path), Instance(0, str(tmp_path), 1879048192, "198.18.0.0/20"))


def test_people_land_in_their_lab_or_at_home() -> None:
    from types import SimpleNamespace as Thing

    hub = Thing(base_url="/hub/")
    assert landing(Thing(current_user=None, hub=hub)) == ""
    assert landing(Thing(current_user=Thing(url="/user/lince/", spawner=Thing(ready=True)), hub=hub)) == "/user/lince/"
    assert landing(Thing(current_user=Thing(url="/user/lince/", spawner=Thing(ready=False)), hub=hub)) == "/hub/home"


def test_snippets_run_last_in_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "snippets"
    folder.mkdir()
    (folder / "20-second.py").write_text("c.JupyterHub.base_url = c.JupyterHub.base_url + 'second/'\n")
    (folder / "10-first.py").write_text("assert c.JupyterHub.cleanup_servers is False\nc.JupyterHub.base_url = '/first/'\n")
    (folder / "notes.txt").write_text("not python")
    traits, _, _ = made(tmp_path, hub={"snippets": str(folder)})
    assert traits.JupyterHub.base_url == "/first/second/"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nc.JupyterHub.x = y\n", "bad.py:2: NameError: name 'y' is not defined"),
        ("def f():\n    return 1 / 0\n\nf()\n", "bad.py:2: ZeroDivisionError: division by zero"),
        ("x = 1\nif True\n", "bad.py:2: expected ':'"),
        ("import json\njson.loads('{')\n", "bad.py:2: JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("raise ValueError('two\\nlines')\n", "bad.py:1: ValueError: two lines"),
    ],
)
def test_a_wrong_snippet_is_one_line_with_its_place(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "bad.py").write_text(source)
    with pytest.raises(SnippetError) as caught:
        run_snippets(Traits(), tmp_path)
    assert str(caught.value) == f"{tmp_path}/{said}"


def test_a_snippet_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_bytes(b"\xff\xfe")
    with pytest.raises(SnippetError, match=r"UnicodeDecodeError"):
        run_snippets(Traits(), tmp_path)


def test_the_proxys_command_line(tmp_path: Path) -> None:
    state, instance = State(tmp_path), Instance(0, str(tmp_path), 1879048192, "198.18.0.0/20")
    node = f"{tmp_path}/node/current"
    expected = [f"{node}/bin/node", f"{node}/node_modules/configurable-http-proxy/bin/configurable-http-proxy", "--ip", "::", "--port", "8443"]
    expected += [
        "--api-ip",
        "198.18.0.2",
        "--api-port",
        "8001",
        "--default-target",
        "http://198.18.0.1:8081",
        "--error-path",
        str(ERROR_PAGES),
        "--log-level",
        "warn",
    ]
    assert command(Config.model_validate({"site": {"listen": "[::]:8443"}}), state, instance) == expected


def test_the_proxy_reads_its_own_copies_of_certificate_and_key(tmp_path: Path) -> None:
    config = Config.model_validate({"site": {"tls": {"certificate": "/root/c.pem", "key": "/root/k.pem"}}})
    line = command(config, State(tmp_path), Instance(0, str(tmp_path), 1879048192, "198.18.0.0/20"))
    assert line[-4:] == ["--ssl-cert", f"{tmp_path}/proxy/certificate.pem", "--ssl-key", f"{tmp_path}/proxy/key.pem"]
    assert all((ERROR_PAGES / name).is_file() for name in ("503.html", "error.html"))
