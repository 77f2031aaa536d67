"""Any tree that is exported and imported is the same tree, and what is there already is kept and never changed."""

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elabs.storage.run import StorageError
from elabs.storage.transfer import packs
from elabs.storage.transfer.manifest import PIECE
from tests.transfer import OWNER, File, Folder, export, give, make, owned, tree, writable

NAMES = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.text(min_size=1, max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"new\nline", b"\xff\xfe", "niño".encode(), b"\xed\xa0\x80", b"-", b" ", b"x" * 240, b'"\\', b"a", b"a-b", b"a.b", b"lost+found"]),
).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..", b".elabs-import"))
TIMES = st.integers(-(10**9) * 2**30, 2 * 10**18)
# an ordinary user cannot read what is closed to them, here or in a pod
MODES = st.integers(0, 0o777) if os.geteuid() == 0 else st.integers(0, 0o777).map(lambda mode: mode | 0o400)
FILES = st.builds(
    File,
    content=st.one_of(st.binary(max_size=200), st.sampled_from([b"", b"same", b"\0" * 5000])),
    mode=MODES,
    mtime_ns=TIMES,
    size=st.one_of(st.none(), st.integers(0, PIECE + 10000)),
    at=st.one_of(st.just(0), st.integers(0, PIECE + 10)),
    links=st.integers(0, 2),
    xattrs=st.one_of(st.just({}), st.dictionaries(st.text("abc.", min_size=1, max_size=5).map("user.{}".format), st.binary(max_size=50), max_size=2)),
)
SYMLINKS = st.binary(min_size=1, max_size=30).filter(lambda text: b"\0" not in text)
DIR_MODES = st.integers(0, 0o1777) if os.geteuid() == 0 else st.integers(0, 0o1777).map(lambda mode: mode | 0o700)
TREES = st.recursive(
    st.dictionaries(NAMES, st.one_of(FILES, SYMLINKS), max_size=4),
    lambda inside: st.dictionaries(NAMES, st.one_of(FILES, SYMLINKS, st.builds(Folder, inside, mode=DIR_MODES, mtime_ns=TIMES)), max_size=4),
    max_leaves=8,
)


def free_of_clashes(inside: dict[bytes, Any]) -> dict[bytes, Any]:
    """Names that the links of a file need are not also something else's."""
    return {
        name: Folder(free_of_clashes(what.inside), what.mode, what.mtime_ns) if isinstance(what, Folder) else what
        for name, what in inside.items()
        if not any(name.startswith(other[:200] + b".link") for other in inside if other != name)
    }


@settings(max_examples=60, deadline=None)
@given(TREES.map(free_of_clashes))
def test_any_tree_comes_back_the_same(inside: dict[bytes, Any]) -> None:
    base = Path(tempfile.mkdtemp())
    with writable(base):
        home = base / "home"
        home.mkdir()
        make(home, inside)
        before = tree(home)
        sent = export(home, base / "archive")
        assert sent.complete and sent.files == sum(what[0] == "file" for what in before.values())
        back = owned(base / "back")
        given_ = give(base / "archive", back)
        assert given_.complete and not given_.no_attributes
        assert tree(back) == before == tree(home)
        assert all(OWNER is None or os.lstat(os.path.join(os.fsencode(back), path)).st_uid == OWNER for path in before)
        # once more: all is there, nothing is sent, nothing changes, not even the archive
        again = export(home, base / "archive")
        assert again.sent_bytes == 0 and again.files == sent.files
        if before:
            with pytest.raises(StorageError, match="not empty"):
                give(base / "archive", back)
        assert tree(back) == before
    shutil.rmtree(base)


def test_a_sparse_file_stays_one_and_is_not_read_through(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    make(tmp_path / "home", {b"disk": File(b"x", at=2**40, size=2**42), b"empty": File(b"", size=2**42)})
    assert export(tmp_path / "home", tmp_path / "archive").bytes < 10**6
    back = owned(tmp_path / "back")
    give(tmp_path / "archive", back)
    for name in ("disk", "empty"):
        status = (back / name).stat()
        assert (status.st_size, status.st_blocks < 2**12) == (2**42, True)
    with (back / "disk").open("rb") as file:
        file.seek(2**40)
        assert file.read(2) == b"x\0"


def test_a_long_file_of_many_packs_and_the_same_content_twice(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    content = os.urandom(PIECE) * 3 + os.urandom(packs.PACK + 12345)
    make(tmp_path / "home", {b"one": File(content), b"two": File(content, 0o600)})
    sent = export(tmp_path / "home", tmp_path / "archive")
    assert sent.bytes == 2 * len(content) and sent.sent_bytes == len(content) - 2 * PIECE
    sizes = [path.stat().st_size for path in sorted((tmp_path / "archive/packs").iterdir())]
    assert len(sizes) == 2 and max(sizes) <= packs.PACK
    back = owned(tmp_path / "back")
    give(tmp_path / "archive", back)
    assert tree(back) == tree(tmp_path / "home")


def test_a_path_longer_than_any_system_call_takes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    here = os.open(home, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d" * 50, dir_fd=here)
        below = os.open("d" * 50, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here), "w") as file:
        file.write("deep")
    os.close(here)
    export(home, tmp_path / "archive")
    back = owned(tmp_path / "back")
    assert give(tmp_path / "archive", back).files == 1
    here = os.open(back, os.O_RDONLY)
    for _ in range(300):
        below = os.open("d" * 50, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open(os.open("file", os.O_RDONLY, dir_fd=here)) as file:
        assert file.read() == "deep"
    os.close(here)
    for folder in (home, back):
        os.system(f"rm -rf {folder}")  # shutil gives up at such depths


def test_sockets_and_pipes_are_left_out_and_counted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.mkfifo(home / "pipe")
    with socket.socket(socket.AF_UNIX) as line:
        here = os.getcwd()
        os.chdir(home)
        line.bind("socket")
        os.chdir(here)
    (home / "file").write_text("x")
    outcome = export(home, tmp_path / "archive")
    assert (outcome.special, outcome.files, outcome.complete) == (2, 1, True)


def test_setuid_is_not_carried_over(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    make(tmp_path / "home", {b"tool": File(b"x", 0o755), b"folder": Folder({}, 0o755)})
    (tmp_path / "home/tool").chmod(0o6755)
    (tmp_path / "home/folder").chmod(0o2755)
    export(tmp_path / "home", tmp_path / "archive")
    back = owned(tmp_path / "back")
    give(tmp_path / "archive", back)
    assert [os.stat(back / name).st_mode & 0o7777 for name in ("tool", "folder")] == [0o755, 0o755]


def test_merging_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    make(
        tmp_path / "home",
        {
            b"same": File(b"same", links=1),
            b"other": File(b"theirs", links=1),
            b"new": File(b"new"),
            b"folder": Folder({b"new": File(b"1"), b"sub": Folder({b"deep": File(b"2")}, 0o500)}, 0o500),
            b"becomes-file": Folder({b"x": File(b"3"), b"y": Folder({})}),
            b"link": b"to",
            b"other-link": b"there",
        },
    )
    export(tmp_path / "home", tmp_path / "archive")
    back = owned(tmp_path / "back")
    make(
        back,
        {
            b"same": File(b"same", 0o600, 5),
            b"other": File(b"mine!!", 0o600, 6),
            b"mine": File(b"only mine"),
            b"folder": Folder({b"mine": File(b"4")}, 0o555, 7),
            b"becomes-file": File(b"no folder"),
            b"link": b"to",
            b"other-link": b"elsewhere",
        },
    )
    if OWNER is not None:
        for folder, folders, files in os.walk(back):
            for name in [*folders, *files]:
                os.chown(os.path.join(folder, name), OWNER, OWNER, follow_symlinks=False)
    before = tree(back)
    outcome = give(tmp_path / "archive", back, merge=True)
    assert sorted(outcome.conflicts) == ["becomes-file", "other", "other-link", "other.link0"]
    after = tree(back)
    for path in (b"other", b"mine", b"folder/mine", b"becomes-file", b"link", b"other-link"):
        assert after[path][:5] == before[path][:5], path
    assert after[b"same"][1:5] == before[b"same"][1:5]
    assert after[b"folder"][1] == 0o555
    assert after[b"new"][4] == b"new" and after[b"folder/new"][4] == b"1" and after[b"folder/sub/deep"][4] == b"2"
    assert after[b"folder/sub"] == tree(tmp_path / "home")[b"folder/sub"]
    assert not any(path.startswith((b"becomes-file/", b".elabs-import")) for path in after)
    assert outcome.kept == 1 and outcome.sent_files == 4


def test_a_folder_of_something_else_is_not_taken_for_an_archive(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    with pytest.raises(StorageError, match="is not empty, and no archive"):
        export(tmp_path / "home", tmp_path / "photos")
    assert os.listdir(tmp_path / "photos") == ["a.jpg"]
    with pytest.raises(StorageError, match="is no archive of a home"):
        give(tmp_path / "photos", owned(tmp_path / "back"))
    assert not os.listdir(tmp_path / "back")
