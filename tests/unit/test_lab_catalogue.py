"""Apps as data: what jupyter-server-proxy is told of each."""

import json
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest
from jupyter_server_proxy.config import ServerProcess

from elabs.lab import catalogue

GIB = 2**30
APPS = sorted(path.parent.name for path in catalogue.CATALOGUE.glob("*/app.json"))


def add(folder: Path, name: str, **app: Any) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "app.json").write_text(json.dumps({"title": "A", "program": "/usr/bin/a", "command": ["a", "{port}"]} | app))
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "image/usr/bin").mkdir(parents=True)
    (tmp_path / "image/usr/bin/a").touch()
    return tmp_path / "image"


@pytest.mark.parametrize("name", APPS)
def test_every_app_of_the_catalogue_is_complete_and_has_an_icon(name: str):
    app = catalogue.load(name)
    assert any("{port}" in word for word in app["command"])
    assert xml.etree.ElementTree.parse(catalogue.CATALOGUE / name / "icon.svg").getroot().tag.endswith("svg")
    server = catalogue.server(app, Path("/home/lince"), GIB)
    ServerProcess(name=name, **server)
    (button,) = catalogue.buttons({name: server})
    assert button["name"] == name and button["title"] == app["title"] and "<svg" in button["icon"]


def test_openrefine_listens_on_loopback_alone_and_keeps_projects_in_the_home():
    server = catalogue.server(catalogue.load("openrefine"), Path("/home/lince"), 2 * GIB)
    command = server["command"]
    assert command[command.index("-i") + 1] == "127.0.0.1"
    assert command[command.index("-d") + 1] == "/home/lince/openrefine"
    assert command[command.index("-m") + 1] == "1024M"
    assert server["launcher_entry"]["enabled"] is False, "there would be two buttons"


@pytest.mark.parametrize(("limit", "expected"), [(2 * GIB, "1024M"), (64 * GIB, "4096M"), (0, "4096M"), (GIB // 2, "256M")])
def test_an_apps_memory_is_a_share_of_the_labs_and_bounded(limit: int, expected: str):
    server = catalogue.server({"title": "A", "command": ["{memory_mb}M"], "memory": {"share": 0.5, "at_most": "4G"}}, Path("/h"), limit)
    assert server["command"] == [expected]


def test_braces_that_are_not_ours_are_left_for_jupyter_server_proxy():
    server = catalogue.server({"title": "A", "command": ["{port}", "{{home}}", "{base_url}x", "{home}/y"]}, Path("/home/a{b}"), GIB)
    assert server["command"] == ["{port}", "{{home}}", "{base_url}x", "/home/a{{b}}/y"]


def test_what_cannot_be_offered_is_left_out_with_a_line(tmp_path: Path, image: Path, capsys: pytest.CaptureFixture[str]):
    folder = add(add(add(tmp_path / "apps", "good"), "absent", program="/usr/bin/b"), "wrong", colour="red")
    found = catalogue.servers(["good", "absent", "wrong", "unknown", "../good"], tmp_path, GIB, image, folder)
    assert list(found) == ["good"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["app absent", "app wrong", "app unknown", "app ../good"]
    assert "colour" in lines[1]


def test_folders_are_made_in_the_home_and_a_home_that_takes_none_takes_no_app_away(tmp_path: Path, image: Path):
    folder = add(tmp_path / "apps", "good", folders=["projects/of/good"])
    assert list(catalogue.servers(["good"], tmp_path, GIB, image, folder)) == ["good"]
    assert (tmp_path / "projects/of/good").is_dir()
    (tmp_path / "file").touch()
    assert list(catalogue.servers(["good"], tmp_path / "file", GIB, image, folder)) == ["good"]
