"""The parts of commands that only compute: rows of `status`, the address that is shown, what `doctor` and `test` find."""

import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from elabs.cli import address, instance, test_
from elabs.cli.errors import Problem
from elabs.cli.setup import checks
from elabs.cli.status import Row, row
from elabs.config.model import Config
from elabs.config.state import State


def site(**settings: object) -> Config:
    return Config.model_validate({"site": settings})


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, "http://127.0.0.1:8000/"),
        ({"listen": "0.0.0.0:80"}, "http://127.0.0.1/"),
        ({"listen": "[::]:8000"}, "http://[::1]:8000/"),
        ({"listen": "10.0.0.5:443", "tls": {"certificate": "/c", "key": "/k"}}, "https://10.0.0.5/"),
        ({"listen": "0.0.0.0:443", "tls": {"certificate": "/c", "key": "/k"}, "url": "https://labs.example.org"}, "https://labs.example.org/"),
    ],
)
def test_the_address_people_type(settings: dict[str, object], shown: str) -> None:
    assert address.url(site(**settings)) == shown


@pytest.fixture
def web() -> Iterator[tuple[int, list[int]]]:
    answers = [200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers[0] if self.path == "/hub/login" else 404)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, answers
        server.shutdown()


def test_only_a_login_page_is_a_login(web: tuple[int, list[int]]) -> None:
    port, answers = web
    config = site(listen=f"127.0.0.1:{port}")
    assert address.login_answers(config)
    for status in (302, 404, 500, 503):
        answers[0] = status
        assert not address.login_answers(config)
    answers[0] = 302
    assert address.login_answers(config.model_copy(update={"login": config.login.model_copy(update={"method": "oauth"})}))


LAB = {
    "lab": "colibri",
    "person": "Colibrí",
    "profile": "default",
    "size": "medium",
    "image": "small",
    "state": "running",
    "address": "198.18.0.16",
    "since": 1000.0,
    "memory_bytes": 5,
    "memory_limit_bytes": 10,
}


@pytest.mark.parametrize(
    ("active", "idle"),
    [
        ({"Colibrí": 1400.0}, 100),
        ({"Colibrí": 900.0}, 500),  # activity of a lab before this one
        ({}, 500),
        (None, None),  # the hub does not answer
        ({"Colibrí": 1600.0}, 0),  # a clock that runs ahead
    ],
)
def test_a_row(active: dict[str, float] | None, idle: int | None) -> None:
    assert row(LAB, active, 1500.0) == Row("Colibrí", "colibri", "default", "medium", "small", "running", 5, 10, 500, idle)


def chain(table: str, **more: object) -> dict[str, object]:
    return {"chain": {"family": "inet", "table": table, "name": "forward", "handle": 1, **more}}


def test_foreign_drops() -> None:
    ours = chain("elabs_0", hook="forward", policy="drop")
    docker = chain("filter", hook="forward", policy="drop", type="filter", prio=0)
    accepts = chain("other", hook="forward", policy="accept")
    input_chain = chain("firewall", hook="input", policy="drop")
    plain = chain("filter")
    assert checks.foreign_drops(json.dumps({"nftables": [{"metainfo": {}}, ours, docker, accepts, input_chain, plain]})) == ["inet filter forward"]
    assert checks.foreign_drops(json.dumps({"nftables": []})) == []
    assert checks.foreign_drops("") == []


def found(name: str, state: State, config: Config, *, ours: bool = False) -> checks.Check:
    return next(check for check in checks.machine(state, config, ours=ours) if check.name == name)


def test_a_port_in_use_is_missing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = site(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        check = found("port", State(tmp_path), config)
        assert check.status == "missing"
        assert str(taken.getsockname()[1]) in check.found and "site.listen" in check.mend
        assert found("port", State(tmp_path), config, ours=True).status == "ok"
    assert found("port", State(tmp_path), config).status == "ok"


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    huge = Config.model_validate({"storage": {"pool": "900T"}})
    check = found("disk", State(tmp_path), huge)
    assert check.status == "missing" and "storage.pool" in check.mend


def test_a_folder_that_others_cannot_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    check = found("state", State(closed / "state"), Config())
    assert check.status == "missing" and "--state" in check.mend


def test_a_folder_that_not_every_program_can_take() -> None:
    for path in ("/srv/a b", "/srv/100%", "/srv/a,b", "/srv/'"):
        assert found("state", State(Path(path)), Config()).status == "missing", path


def test_a_folder_whose_sockets_would_have_too_long_names() -> None:
    assert found("state", State(Path("/" + 78 * "x")), Config()).status == "ok"
    assert found("state", State(Path("/" + 79 * "x")), Config()).status == "missing"


def test_a_directory_that_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        config = Config.model_validate({"login": {"ldap": {"server": "127.0.0.1", "port": port, "security": "none", "search_base": "dc=x"}}})
        assert found("directory", State(tmp_path), config).status == "ok"
    check = found("directory", State(tmp_path), config)
    assert check.status == "missing" and f"127.0.0.1:{port}" in check.found


def test_every_check_that_fails_says_how_to_mend_it(tmp_path: Path) -> None:
    names = [check.name for check in checks.machine(State(tmp_path), Config(), ours=False)]
    assert len(names) == len(set(names))
    for check in checks.machine(State(tmp_path), Config(), ours=False):
        assert check.found
        assert check.status != "missing" or check.mend, check.name
    assert not list(tmp_path.iterdir())


def test_two_commands_do_not_start_or_stop_at_once(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with instance.alone(state), pytest.raises(Problem, match="another elabs command"), instance.alone(state):
        pass
    with instance.alone(state):
        pass


def test_images_of_the_ordinary_instance_are_used_and_not_changed(tmp_path: Path) -> None:
    source, target = State(tmp_path / "a"), State(tmp_path / "b")
    for name in ("small-1", ".full-2.partial", "full-3"):
        (source.images / name).mkdir(parents=True)
    (source.images / "small-1" / "image.json").touch()
    (source.images / ".full-2.partial" / "image.json").touch()
    test_.share_images(source, target)
    assert {path.name: os.readlink(path) for path in target.images.iterdir()} == {"small-1": str(source.images / "small-1")}
    test_.share_images(source, target)
    test_.share_images(State(tmp_path / "nothing"), target)


def test_groups_of_tests_are_folders() -> None:
    names = test_.groups()
    assert names[0] == "unit"
    assert {"isolation", "faults", "browser"} <= set(names)
    assert all((test_.TESTS / name).is_dir() for name in names)
