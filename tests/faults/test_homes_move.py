"""People's homes on a running instance: copied out, deleted, and brought back with the ids and the quota of their person."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from elabs.storage import ids
from tests.live import Live
from tests.transfer import tree


@pytest.fixture
def home(live: Live) -> Iterator[Path]:
    """The home of a person whose lab runs, with something in it."""
    live.visit("colibri").start()
    folder = live.state.homes / "colibri"
    owner = folder.stat().st_uid
    (folder / "work").mkdir()
    for number in range(50):
        (folder / "work" / f"{number}.csv").write_bytes(os.urandom(1000))
    (folder / "work/secret").write_text("x")
    (folder / "work/secret").chmod(0)
    # btrfs lets anybody make a subvolume in a folder of theirs
    subprocess.run(["btrfs", "subvolume", "create", folder / "work/nested"], check=True, capture_output=True)
    (folder / "work/nested/file").write_text("x")
    for path in [folder / "work", folder / "work/nested/file", *(folder / "work").iterdir()]:
        os.chown(path, owner, owner)
    yield folder
    live.ask(verb="stop", lab="colibri")
    if folder.exists():
        assert live.run("home", "delete", "colibri", "--yes").returncode == 0


def test_a_home_is_copied_deleted_and_brought_back(live: Live, home: Path, tmp_path: Path) -> None:
    archive, owner = str(tmp_path / "archive"), home.stat().st_uid
    for arguments in (("export", "colibri", archive), ("import", "colibri", archive), ("delete", "colibri", "--yes")):
        done = live.run("home", *arguments)
        assert done.returncode == 2
        assert done.stderr in ("elabs: the lab of colibri runs; stop it first, or give --while-running\n", "elabs: the lab of colibri runs; stop it first\n",
                               f"elabs: {archive} is no archive of a home\n")  # fmt: skip
    assert not Path(archive).exists()
    rows = {row["home"]: row for row in json.loads(live.run("home", "list", "--json").stdout)}
    assert rows["colibri"]["used_by"] == "the lab" and rows["colibri"]["person"] == "colibri" and rows["colibri"]["used_bytes"] > 0
    assert live.run("home", "export", "colibri", archive, "--while-running").returncode in (0, 1)

    live.ask(verb="stop", lab="colibri")
    done = live.run("home", "export", "colibri", archive)
    assert done.returncode == 0, done.stderr
    before = tree(home)
    (home / "work/0.csv").touch()  # another time, so that the copy is told from it
    done = live.run("home", "import", "colibri", archive)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "elabs: the home is not empty; --merge adds what it lacks and changes nothing that is there")

    assert live.run("home", "delete", "colibri").returncode == 130 and home.exists()
    done = live.run("home", "delete", "colibri", "--yes")
    assert done.returncode == 0 and "its numeric ids are never given again" in done.stdout, done.stderr
    assert not home.exists() and ids.people(live.instance)["colibri"] + ids.LAB_ID == owner

    done = live.run("home", "import", "colibri", archive)
    assert done.returncode == 0, done.stderr
    assert tree(home) == before
    assert {path.lstat().st_uid for path in home.rglob("*")} == {owner}
    visit = live.visit("colibri")
    visit.start()
    visit.enter()
    assert visit.run(visit.kernel(), "print(len(open('work/7.csv', 'rb').read()))").text.strip() == "1000"


def test_a_home_larger_than_its_quota_is_one_line_and_goes_on_with_a_larger_one(live: Live, home: Path, tmp_path: Path) -> None:
    live.ask(verb="stop", lab="colibri")
    subprocess.run(["btrfs", "qgroup", "limit", "none", home], check=True)
    (home / "long").write_bytes(os.urandom(150 * 2**20))
    os.chown(home / "long", home.stat().st_uid, home.stat().st_gid)
    before = tree(home)
    assert live.run("home", "export", "colibri", str(tmp_path / "archive")).returncode == 0
    assert live.run("home", "delete", "colibri", "--yes").returncode == 0
    done = live.run("home", "import", "colibri", str(tmp_path / "archive"))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "elabs: the home: Disk quota exceeded")
    config = live.state.config.read_text()
    try:
        live.state.config.write_text(config.replace('"96M"', '"400M"'))
        done = live.run("home", "import", "colibri", str(tmp_path / "archive"))
    finally:
        live.state.config.write_text(config)
    assert done.returncode == 0, done.stderr
    assert tree(home) == before


def test_commands_say_in_one_line_what_is_wrong(live: Live, tmp_path: Path) -> None:
    for arguments, said in (
        (("export", "nobody", str(tmp_path / "x")), "'nobody' has no home here; elabs home list names those there are"),
        (("delete", "../..", "--yes"), "'../..' has no home here; elabs home list names those there are"),
        (("import", "nobody", str(tmp_path)), f"{tmp_path} is no archive of a home"),
        (("list", "--namespace", "x"), "--namespace and --context say which cluster; give --cluster too"),
    ):
        done = live.run("home", *arguments)
        assert (done.returncode, done.stderr) == (2, f"elabs: {said}\n")


def test_homes_of_an_instance_that_is_down_are_there_all_the_same(live: Live, home: Path, tmp_path: Path) -> None:
    live.down()
    try:
        assert not os.path.ismount(live.state.homes)
        done = live.run("home", "export", "colibri", str(tmp_path / "archive"))
        assert done.returncode == 0, done.stderr
        assert "colibri" in live.run("home", "list").stdout
        assert not os.path.ismount(live.state.homes)
    finally:
        live.up()
