"""An archive is from anywhere: what is in it can make nothing outside the home, nothing but files, folders and links, and is refused whole where it is not whole."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elabs.storage.run import StorageError
from elabs.storage.transfer import archive
from elabs.storage.transfer.folders import Folders
from elabs.storage.transfer.manifest import EMPTY, ArchiveError, Order, decode, encode, shown
from tests.transfer import OWNER, File, Folder, export, give, make, owned, tree

TIME = 10**18


def folder(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "type": "folder", "mtime_ns": TIME, "mode": "0755", **more}


def file(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "type": "file", "mtime_ns": TIME, "mode": "0644", "size": 0, "sha256": EMPTY, **more}


def symlink(path: str, target: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "type": "symlink", "mtime_ns": TIME, "target": target, **more}


def forge(base: Path, *lines: dict[str, Any] | bytes) -> Path:
    """An archive that is sealed as a real one is, with any lines in it."""
    place = base / "forged"
    (place / "packs").mkdir(parents=True)
    (place / "archive.json").write_text(json.dumps({"format": 1, "home": "ana"}))
    text = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    end = {"files": 0, "bytes": 0, "packs": [], "sha256": hashlib.sha256(text).hexdigest()}
    (place / "manifest.jsonl").write_bytes(text + json.dumps({"end": end}).encode() + b"\n")
    return place


def test_a_forged_archive_of_nothing_wrong_is_taken(tmp_path: Path) -> None:
    back = owned(tmp_path / "back")
    give(forge(tmp_path, folder("a"), file("a/b"), {"path": "a/c", "type": "link", "target": "a/b"}, symlink("z", "/etc/passwd")), back)
    assert {path: what[0] for path, what in tree(back).items()} == {b"a": "folder", b"a/b": "file", b"a/c": "file", b"z": "symlink"}


HOSTILE = {
    "absolute": [file("/etc/cron.d/x")],
    "above": [file("../x")],
    "above, further in": [folder("a"), file("a/../../x")],
    "dot": [file("./x")],
    "empty": [file("")],
    "two slashes": [folder("a"), file("a//x")],
    "slash at the end": [folder("a/")],
    "NUL": [file("a\0b")],
    "surrogate that stands for no byte": [file("a\ud800")],
    "too long a name": [file("a" * 256)],
    "the import's own folder": [folder(".elabs-import"), file(".elabs-import/archive")],
    "below a symbolic link": [symlink("a", "/tmp"), file("a/x")],
    "below a symbolic link called a folder before": [folder("a"), symlink("a", "/tmp"), file("a/x")],
    "below a file": [file("a"), file("a/x")],
    "in no folder": [file("a/x")],
    "in a folder that comes later": [file("a/x"), folder("a")],
    "twice": [file("a"), file("a")],
    "out of order": [file("b"), file("a")],
    "setuid": [file("a", mode="4755")],
    "setgid": [file("a", mode="2755")],
    "setgid folder": [folder("a", mode="2755")],
    "device": [{**file("a"), "type": "device"}],
    "pipe": [{**file("a"), "type": "fifo"}],
    "mode that is none": [file("a", mode="rwx")],
    "mode as a number": [file("a", mode=420)],
    "link to outside": [{"path": "a", "type": "link", "target": "../../etc/shadow"}],
    "link to an absolute path": [{"path": "a", "type": "link", "target": "/etc/shadow"}],
    "link to what comes later": [{"path": "a", "type": "link", "target": "b"}, file("b")],
    "link to itself": [{"path": "a", "type": "link", "target": "a"}],
    "empty symbolic link": [symlink("a", "")],
    "security attribute": [file("a", xattrs={"security.capability": "AQ=="})],
    "trusted attribute": [folder("a", xattrs={"trusted.overlay.opaque": "eQ=="})],
    "negative size": [file("a", size=-1)],
    "size as a text": [file("a", size="1")],
    "size that is true": [file("a", size=True)],
    "huge size": [file("a", size=2**70, pieces=[])],
    "time out of this world": [file("a", mtime_ns=2**100)],
    "pieces that overlap": [file("a", size=10, pieces=[[0, 5, EMPTY], [4, 5, EMPTY]])],
    "pieces past the end": [file("a", size=10, pieces=[[8, 5, EMPTY]])],
    "piece too long": [file("a", size=2**30, pieces=[[0, 2**29, EMPTY]])],
    "content that is not there": [file("a", size=10, sha256="ab" * 32)],
    "no JSON": [b"{\n"],
    "a list": [b"[1]\n"],
    "a text": [b'"x"\n'],
    "deep": [b"[" * 100_000 + b"\n"],
    "empty line": [b"\n"],
    "a number too long": [b'{"path":"a","type":"file","mode":"0644","size":0,"sha256":"' + EMPTY.encode() + b'","mtime_ns":' + b"9" * 5000 + b"}\n"],
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    back = owned(tmp_path / "deep" / "back")
    with pytest.raises(ArchiveError) as refused:
        give(forge(tmp_path, *HOSTILE[name]), back)
    assert "\n" not in str(refused.value)
    assert os.listdir(back) == [] and os.listdir(back.parent) == ["back"]


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - {"content that is not there"}))
def test_the_agent_refuses_it_too_where_the_other_end_does_not(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reaches the agent in a pod may send it anything."""
    from elabs.storage.transfer import importing
    from elabs.storage.transfer.process import beside

    lines = [line.decode() if isinstance(line, bytes) else json.dumps(line) for line in HOSTILE[name]]
    back = owned(tmp_path / "deep" / "back")
    with beside(back, OWNER) as wire:
        wire.send({"verb": "import", "archive": "0" * 64, "merge": False})
        importing.ask(wire, "resumed")
        with pytest.raises(StorageError) as refused:
            wire.send({"entries": lines})
            importing.ask(wire, "want")
    assert "\n" not in str(refused.value) and "connection" not in str(refused.value)
    assert os.listdir(back) == [".elabs-import"] and os.listdir(back.parent) == ["back"]


def test_links_that_are_in_the_home_already_lead_nowhere(tmp_path: Path) -> None:
    """A person can put symbolic links where an archive has folders or files."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    (outside / "victim").write_text("whole")
    back = owned(tmp_path / "back")
    make(back, {b"a": os.fsencode(outside), b"file": os.fsencode(outside / "victim"), b"dangling": os.fsencode(outside / "new")})
    lines = [folder("a", mode="0700"), file("a/x"), folder("a/y"), file("dangling"), file("file"), {"path": "link", "type": "link", "target": "a/x"}]
    outcome = give(forge(tmp_path, *lines), back, merge=True)
    assert sorted(outcome.conflicts) == ["a", "dangling", "file", "link"]
    assert os.listdir(outside) == ["victim"] and (outside / "victim").read_text() == "whole" and outside.stat().st_mode & 0o777 == 0o777


def test_a_folder_that_has_become_a_link_is_not_entered(tmp_path: Path) -> None:
    """Between two looks at it, which no test of a whole import can time."""
    (tmp_path / "home/a").mkdir(parents=True)
    (tmp_path / "outside/b").mkdir(parents=True)
    folders = Folders(os.open(tmp_path / "home", os.O_RDONLY))
    (tmp_path / "home/a").rmdir()
    (tmp_path / "home/a").symlink_to(tmp_path / "outside")
    for path in (b"a", b"a/b"):
        with pytest.raises(OSError):
            folders.open(path)
    os.close(folders.root)


def test_an_import_folder_that_is_a_link_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    back = owned(tmp_path / "back")
    (back / ".elabs-import").symlink_to(outside)
    with pytest.raises(StorageError):
        give(forge(tmp_path, file("a")), back, merge=True)
    assert os.listdir(outside) == []


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A small archive as export makes it."""
    (tmp_path / "home").mkdir()
    make(tmp_path / "home", {b"a": File(b"12345"), b"d": Folder({b"e": File(b"678", links=1), b"l": b"x"})})
    export(tmp_path / "home", tmp_path / "archive")
    return tmp_path / "archive"


def test_a_manifest_cut_off_at_any_byte_is_refused(real: Path) -> None:
    manifest = real / "manifest.jsonl"
    whole = manifest.read_bytes()
    archive.find(real)
    for end in range(len(whole)):
        manifest.write_bytes(whole[:end])
        with pytest.raises(ArchiveError, match=r"complete|cut off"):
            archive.find(real)
    manifest.write_bytes(whole + b"x")
    with pytest.raises(ArchiveError, match="goes on after its end"):
        archive.find(real)
    manifest.unlink()
    with pytest.raises(ArchiveError, match="not complete: its export was cut off"):
        archive.find(real)


def test_a_pack_cut_off_at_any_byte_is_refused(real: Path) -> None:
    pack = real / "packs/000001.pack"
    whole = pack.read_bytes()
    for end in range(len(whole)):
        pack.write_bytes(whole[:end])
        with pytest.raises(ArchiveError, match=r"000001\.pack is missing or has another size"):
            archive.find(real)
    pack.unlink()
    with pytest.raises(ArchiveError, match=r"000001\.pack is missing"):
        archive.find(real)


def test_a_changed_byte_anywhere_never_becomes_another_file(real: Path, tmp_path: Path) -> None:
    expected = tree(tmp_path / "home")
    for name in ("manifest.jsonl", "packs/000001.pack"):
        whole = (real / name).read_bytes()
        for place in range(0, len(whole), 7):
            (real / name).write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            back = owned(tmp_path / "back")
            try:
                give(real, back)
            except StorageError as error:
                assert "\n" not in str(error)
                assert not [path for path in tree(back) if not path.startswith(b".elabs-import") and path not in expected]
            else:
                assert name == "manifest.jsonl" and place >= whole.rindex(b'{"end"')  # numbers there that are for people
                assert tree(back) == expected
            shutil.rmtree(back)
        (real / name).write_bytes(whole)


@pytest.mark.parametrize("replace", [lambda path: path.symlink_to("/dev/zero"), os.mkfifo], ids=["link", "pipe"])
@pytest.mark.parametrize("name", ["archive.json", "manifest.jsonl", "packs/000001.pack"])
def test_an_archive_of_links_and_pipes_is_refused(name: str, replace: Callable[[Path], None], real: Path, tmp_path: Path) -> None:
    size = (real / name).stat().st_size
    (real / name).unlink()
    replace(real / name)
    with pytest.raises(ArchiveError):
        give(real, owned(tmp_path / "back"))
    assert size and not os.listdir(tmp_path / "back")


def test_content_with_another_checksum_inside_a_right_pack_is_refused(real: Path, tmp_path: Path) -> None:
    """The piece is right and the manifest says another checksum for the file as a whole."""
    manifest = real / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines()
    entry = json.loads(lines[0])
    entry["pieces"], entry["sha256"] = [[0, entry["size"], entry["sha256"]]], "00" * 32
    text = b"\n".join([json.dumps(entry).encode(), *lines[1:-1]]) + b"\n"
    end = json.loads(lines[-1])["end"] | {"sha256": hashlib.sha256(text).hexdigest()}
    manifest.write_bytes(text + json.dumps({"end": end}).encode() + b"\n")
    back = owned(tmp_path / "back")
    with pytest.raises(StorageError, match="does not read back"):
        give(real, back)
    assert not (back / "a").exists()


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["path", "type", "mode", "mtime_ns", "size", "sha256", "pieces", "target", "xattrs"]), inner)
        ),
    )
)
def test_no_line_is_more_than_refused(value: Any) -> None:
    try:
        entry = decode(json.dumps(value))
        Order().check(entry)
    except ArchiveError as error:
        assert "\n" not in str(error)
    else:
        assert decode(encode(entry)) == entry


def test_names_cannot_control_a_terminal() -> None:
    assert shown("año.txt".encode()) == "año.txt"
    assert shown(b"a\x1b[2J\nb\xff").isprintable()
