"""Cut off anywhere, and by anything, the same command goes on: what was whole is not sent again, and the end is the same tree."""

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elabs.storage.run import StorageError
from elabs.storage.transfer import agent, archive, importing, packs, process, writing
from elabs.storage.transfer.manifest import PIECE
from elabs.storage.transfer.packs import Packs
from elabs.storage.transfer.reading import Reader
from elabs.storage.transfer.wire import Wire
from tests.transfer import OWNER, File, Folder, export, give, make, owned, tree

INSIDE = {
    b"a": Folder({b"%d" % number: File(b"%d" % number * 50, 0o400) for number in range(30)}, 0o500),
    b"big": File(b"".join(bytes([number]) * PIECE for number in range(7)) + b"end", size=8 * PIECE, links=1),
    b"c": Folder({b"\xff": Folder({b"e": File(b"e", xattrs={"user.x": b"y"})}, 0), b"l": b"nowhere"}, 0o555),
    b"z": File(b"z" * 100, 0),
}


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is there after a kill, synced or not; and others may be writing gigabytes to the same disk."""
    monkeypatch.setattr(writing, "_SYNCFS", lambda fd: 0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    make(tmp_path / "home", INSIDE if os.geteuid() == 0 else INSIDE | {b"z": File(b"z"), b"c": Folder({})})
    return tmp_path / "home"


def killed(work: Callable[[], Any]) -> bool:
    """Run in a process of its own; whether it was killed (and not just done)."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # the other end was killed
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 1


def kill_at(count: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, of which call number `count` never comes back."""
    calls = [0]

    def counted(*args: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **more)

    return counted


def stored(folder: Path) -> int:
    """Bytes of whole pieces in an archive, as they lie on the disk."""
    copy = folder.parent / "copy"
    shutil.copytree(folder / "packs", copy)
    found = Packs(copy)
    found.recover(lambda count: None)
    found.close()
    shutil.rmtree(copy)
    return sum(where.size for where in found.pieces.values())


@pytest.mark.parametrize("count", [1, 2, 9, 31, 33, 38])
def test_an_export_killed_at_any_piece_sends_only_what_is_missing(count: int, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Packs, "add", kill_at(count, Packs.add))
        assert killed(lambda: export(home, tmp_path / "archive"))
    with pytest.raises(StorageError, match="is not complete: its export was cut off"):
        give(tmp_path / "archive", owned(tmp_path / "early"))
    there = stored(tmp_path / "archive")
    assert (there > 0) == (count > 1)
    outcome = export(home, tmp_path / "archive")
    unique = outcome.bytes  # nothing of it is twice in this home
    assert outcome.sent_bytes == unique - there
    assert tree(given_back(tmp_path)) == tree(home)


def given_back(base: Path) -> Path:
    back = owned(base / "back")
    give(base / "archive", back)
    return back


@pytest.mark.parametrize("count", [1, 15, 45, 60])
def test_an_export_whose_other_end_is_killed_goes_on(count: int, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(agent, "encode", kill_at(count, agent.encode))
        if count < 39:
            with pytest.raises(StorageError, match="run the same command again"):
                export(home, tmp_path / "archive")
    assert export(home, tmp_path / "archive").complete
    assert tree(given_back(tmp_path)) == tree(home)


def test_an_archive_cut_off_at_any_place_by_its_disk_is_mended(home: Path, tmp_path: Path) -> None:
    """Torn writes: a pack may end anywhere, or have anything at its end."""
    whole = export(home, tmp_path / "archive").bytes
    pack = tmp_path / "archive/packs/000001.pack"
    good = pack.read_bytes()
    for place in (0, 1, 39, 40, 41, len(good) // 2, len(good) - 1):
        for tail in (b"", b"\0" * 1000, b"elbP" + b"\xff" * 300):
            (tmp_path / "archive/manifest.jsonl").unlink()
            pack.write_bytes(good[:place] + tail)
            there = stored(tmp_path / "archive")
            assert export(home, tmp_path / "archive").sent_bytes == whole - there
            archive.find(tmp_path / "archive")
    assert tree(given_back(tmp_path)) == tree(home)


def test_damage_in_the_middle_is_sent_again(home: Path, tmp_path: Path) -> None:
    export(home, tmp_path / "archive")
    pack = tmp_path / "archive/packs/000001.pack"
    raw = bytearray(pack.read_bytes())
    raw[len(raw) // 2] ^= 1
    pack.write_bytes(raw)
    back = owned(tmp_path / "first")
    with pytest.raises(StorageError, match="is damaged at byte"):
        give(tmp_path / "archive", back)
    assert export(home, tmp_path / "archive").sent_bytes > 0
    give(tmp_path / "archive", back)
    assert tree(back) == tree(home)


POINTS = [
    *(("rename", count) for count in (1, 5, 31, 33)),
    *(("pwrite", count) for count in (1, 20, 36)),
    *(("mkdir", count) for count in (1, 2, 4)),
    *(("utime", count) for count in (1, 35, 37)),
    *(("fchmod", count) for count in (1, 33, 34, 35)),
    *(("link", 1), ("symlink", 1), ("rmdir", 1), ("unlink", 1), ("unlink", 2), ("write", 1), ("setxattr", 1)),
]


@pytest.mark.parametrize(("call", "count"), POINTS, ids=[f"{call}-{count}" for call, count in POINTS])
def test_an_import_killed_at_any_call_goes_on(call: str, count: int, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(home, tmp_path / "archive")
    back = owned(tmp_path / "back")
    if os.geteuid() != 0 and call == "setxattr":
        pytest.skip("this tree has no attributes")
    monkeypatch.setattr(importing, "_BATCH_ENTRIES", 10)
    with monkeypatch.context() as patch:
        patch.setattr(process.agent, "serve", _killing(call, count, getattr(os, call), process.agent.serve))
        with pytest.raises(StorageError, match="run the same command again"):
            give(tmp_path / "archive", back)
    before = tree(home)
    finished = [path for path in tree(back) if not path.startswith(b".elabs-import") and before[path][0] == "file"] if os.geteuid() == 0 else []
    # once everything is in its place, and the mark of the import is gone, the home is one that holds something
    outcome = give(tmp_path / "archive", back, merge=call == "rmdir")
    assert outcome.complete and outcome.kept == len(finished) and outcome.sent_files == outcome.files - len(finished)
    assert tree(back) == tree(home)


def _killing(call: str, count: int, real: Callable[..., Any], serve: Callable[..., None]) -> Callable[..., None]:
    def there(wire: Wire, root: int) -> None:
        setattr(os, call, kill_at(count, real))
        serve(wire, root)

    return there


def test_a_long_file_goes_on_in_its_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    make(tmp_path / "home", {b"big": File(os.urandom(10 * PIECE))})
    export(tmp_path / "home", tmp_path / "archive")
    back = owned(tmp_path / "back")
    with monkeypatch.context() as patch:
        patch.setattr(process.agent, "serve", _killing("pwrite", 8, os.pwrite, process.agent.serve))
        with pytest.raises(StorageError):
            give(tmp_path / "archive", back)
    outcome = give(tmp_path / "archive", back)
    # one pwrite is the name of the archive, so the eighth is the seventh piece
    assert outcome.sent_bytes == 4 * PIECE
    assert tree(back) == tree(tmp_path / "home")


def test_another_archive_does_not_go_on_with_this_one(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(home, tmp_path / "archive")
    back = owned(tmp_path / "back")
    with monkeypatch.context() as patch:
        patch.setattr(process.agent, "serve", _killing("rename", 3, os.rename, process.agent.serve))
        with pytest.raises(StorageError):
            give(tmp_path / "archive", back)
    (tmp_path / "second").mkdir()
    make(tmp_path / "second", {b"x": File(b"x")})
    export(tmp_path / "second", tmp_path / "other")
    with pytest.raises(StorageError, match="half of an import from another archive"):
        give(tmp_path / "other", back, merge=True)
    with pytest.raises(StorageError, match="half of an import that was cut off"):
        export(back, tmp_path / "third")


def test_a_full_disk_ends_an_export_in_one_line_and_room_lets_it_go_on(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.pwritev, [0]

    def full(fd: int, parts: list[bytes], offset: int) -> int:
        calls[0] += 1
        if calls[0] > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        if calls[0] == 20:
            return os.pwrite(fd, b"".join(parts)[:10], offset)  # what there was room for
        return real(fd, parts, offset)

    def no_more(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(packs.os, "pwritev", full)
        pwrite = os.pwrite
        patch.setattr(
            packs.os, "pwrite", lambda fd, data, offset: pwrite(fd, data, offset) if calls[0] == 20 and len(data) == 10 else no_more(fd, data, offset)
        )
        with pytest.raises(OSError, match="No space"):
            export(home, tmp_path / "archive")
    there = stored(tmp_path / "archive")
    outcome = export(home, tmp_path / "archive")
    assert there > 0 and outcome.sent_bytes == outcome.bytes - there


def test_what_changes_while_it_is_read_is_named(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = Reader.entries

    def changing(self: Reader, send: Callable[[bytes, bytes], None]) -> Any:
        def changes(sha256: bytes, data: bytes) -> None:
            if data.startswith(b"7" * 50):
                (home / "a/7").chmod(0o600)
            if data.startswith(b"end"):
                (home / "z").unlink()
            send(sha256, data)

        return entries(self, changes)

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "entries", changing)
        outcome = export(home, tmp_path / "archive")
    assert sorted(outcome.changed) == ["a/7", "z"] and not outcome.complete
    again = export(home, tmp_path / "archive")
    assert again.complete and again.sent_bytes == 0


def test_two_at_once_do_not_meet(home: Path, tmp_path: Path) -> None:
    lock = archive.prepare(tmp_path / "archive", "ana")
    with pytest.raises(StorageError, match="another export into"):
        export(home, tmp_path / "archive")
    os.close(lock)
    export(home, tmp_path / "archive")
    back = owned(tmp_path / "back")
    with process.beside(back, OWNER) as wire:
        wire.send({"verb": "import", "archive": archive.find(tmp_path / "archive").id, "merge": False})
        importing.ask(wire, "resumed")
        with pytest.raises(StorageError, match="another import into this home is running"):
            give(tmp_path / "archive", back)
    assert give(tmp_path / "archive", back).complete


def test_an_archive_is_of_one_home(home: Path, tmp_path: Path) -> None:
    export(home, tmp_path / "archive")
    with pytest.raises(StorageError, match=r"is the archive of the home ana; name a new folder for that of bea"):
        archive.prepare(tmp_path / "archive", "bea")


def test_the_pod_ends_once_nobody_moves_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("1", str(os.getpid()), "4242", "meminfo"):
        (tmp_path / name).mkdir()
    looked: list[float] = []

    def sleep(seconds: float) -> None:
        looked.append(seconds)
        if len(looked) == 50:
            (tmp_path / "4242").rmdir()

    monkeypatch.setattr(agent.time, "sleep", sleep)
    monkeypatch.setattr(agent.time, "monotonic", lambda: float(len(looked)))
    agent.keep(10, tmp_path)
    assert len(looked) == 59
