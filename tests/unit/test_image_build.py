"""Building: what is half-made is never seen, and what was done is not done again. Steps here are small; the real ones run in the tests that need an image."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from elabs.config.state import State
from elabs.runtime.images import building, definition, every, find, mirror, store
from elabs.runtime.images.errors import ImageError
from elabs.runtime.images.rooms import Room
from elabs.runtime.images.steps import Build, Step

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root here")


class Fault(Exception):
    """A step's own, not one that the build knows."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setattr(building.os, "geteuid", lambda: 0)
    monkeypatch.setattr(building, "_check_programs", lambda: None)
    monkeypatch.setattr(building, "versions", lambda work: {"debian": (work.room.rootfs / "first").read_text()})
    monkeypatch.setattr(mirror, "sources", lambda suite: ["deb http://mirror.example/debian trixie main"])
    return State(tmp_path)


def steps(monkeypatch: pytest.MonkeyPatch, log: list[str], fail: dict[str, Exception]) -> None:
    def step(name: str) -> Step:
        def run(work: Build, report: building.Report) -> None:
            log.append(name)
            (work.room.rootfs / name).parent.mkdir(exist_ok=True)
            if name in fail:
                raise fail.pop(name)
            (work.room.rootfs / name).write_text(name)
            report(0.5, f"half of {name}")

        return Step(name, 1.0, run)

    monkeypatch.setattr(building, "STEPS", tuple(step(name) for name in ("first", "second", "third")))


def ignore(fraction: float, text: str) -> None:
    pass


def test_a_build_goes_on_where_it_was_cut_short(state: State, monkeypatch: pytest.MonkeyPatch):
    log: list[str] = []
    steps(monkeypatch, log, {"second": Fault()})
    with pytest.raises(Fault):
        building.build(state, "small", ignore)
    assert find(state, "small") is None
    assert every(state) == []
    built = building.build(state, "small", ignore)
    assert log == ["first", "second", "second", "third"]
    assert find(state, "small") == built
    assert (built.rootfs / "third").exists()
    assert built.versions == {"debian": "first"}
    building.build(state, "small", ignore)
    assert len(log) == 4, "a finished image was built again"
    assert sorted(path.name for path in state.images.iterdir()) == [".lock", "small", f"small-{built.key}"]


def test_progress_rises_to_the_end(state: State, monkeypatch: pytest.MonkeyPatch):
    steps(monkeypatch, [], {})
    heard: list[float] = []
    building.build(state, "small", lambda fraction, text: heard.append(fraction))
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert any(0 < fraction < 1 for fraction in heard)


def test_a_changed_definition_leaves_the_old_image_in_place_until_the_new_one_is_whole(state: State, monkeypatch: pytest.MonkeyPatch):
    steps(monkeypatch, [], {})
    old = building.build(state, "small", ignore)
    monkeypatch.setattr(definition, "BUILDER_VERSION", 10**6)
    steps(monkeypatch, [], {"third": Fault()})
    with pytest.raises(Fault):
        building.build(state, "small", ignore)
    assert find(state, "small") == old
    new = building.build(state, "small", ignore)
    assert new.key != old.key
    assert find(state, "small") == new
    assert {image.key for image in every(state)} == {old.key, new.key}


def test_an_attempt_at_an_outdated_definition_is_thrown_away(state: State, monkeypatch: pytest.MonkeyPatch):
    steps(monkeypatch, [], {"second": Fault()})
    with pytest.raises(Fault):
        building.build(state, "small", ignore)
    monkeypatch.setattr(definition, "BUILDER_VERSION", 10**6)
    steps(monkeypatch, [], {})
    building.build(state, "small", ignore)
    assert not list(state.images.glob("*.partial"))


def test_a_crash_between_the_rename_and_the_link_is_mended(state: State, monkeypatch: pytest.MonkeyPatch):
    steps(monkeypatch, [], {})
    built = building.build(state, "small", ignore)
    (state.images / "small").unlink()
    assert find(state, "small") is None
    assert building.build(state, "small", ignore) == built


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "step second"),
        (ImageError("Debian packages from mirror.example: no network"), "no network"),
    ],
)
def test_what_goes_wrong_is_one_line(state: State, monkeypatch: pytest.MonkeyPatch, fault: Exception, line: str):
    steps(monkeypatch, [], {"second": fault})
    with pytest.raises(ImageError, match=line) as caught:
        building.build(state, "small", ignore)
    assert "\n" not in str(caught.value)


def test_a_disk_that_is_too_small_is_known_before_anything_is_done(state: State, monkeypatch: pytest.MonkeyPatch):
    log: list[str] = []
    steps(monkeypatch, log, {})
    monkeypatch.setattr(building.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(ImageError, match="needs 2G"):
        building.build(state, "small", ignore)
    assert log == []
    assert not list(state.images.glob("*.partial"))


def test_an_ordinary_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(building.os, "geteuid", lambda: 1000)
    with pytest.raises(ImageError, match="root"):
        building.build(State(tmp_path), "small", ignore)
    assert not list(tmp_path.iterdir())


def test_the_second_builder_waits_and_finds_the_work_done(state: State, monkeypatch: pytest.MonkeyPatch):
    entered, go_on, log = threading.Event(), threading.Event(), list[str]()

    def slow(work: Build, report: building.Report) -> None:
        log.append("slow")
        work.room.rootfs.mkdir()
        (work.room.rootfs / "first").write_text("first")
        entered.set()
        assert go_on.wait(60)

    monkeypatch.setattr(building, "STEPS", (Step("slow", 1.0, slow),))
    heard: list[str] = []
    waiting = threading.Event()

    def listen(fraction: float, text: str) -> None:
        heard.append(text)
        waiting.set()

    first = threading.Thread(target=building.build, args=(state, "small", ignore))
    second = threading.Thread(target=building.build, args=(state, "small", listen))
    first.start()
    assert entered.wait(60)
    second.start()
    assert waiting.wait(60)
    go_on.set()
    first.join(60)
    second.join(60)
    assert log == ["slow"]
    assert heard[0] == "waiting for another build to end"


def test_a_half_written_folder_is_no_image(tmp_path: Path):
    state = State(tmp_path)
    (state.images / "small-123/rootfs").mkdir(parents=True)
    (state.images / "small").symlink_to("small-123")
    assert store.find(state, "small") is None
    assert store.every(state) == []


def room(folder: Path) -> Room:
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    return Room(folder / "rootfs", folder / "input", folder / "cache", folder / "log", lock, {"PATH": os.environ["PATH"]})


class Silent:
    """A reader that learns nothing."""

    def read(self, line: str) -> tuple[float, str] | None:
        """Nothing."""
        return None


@as_root
@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("echo 'Temporary failure resolving mirror.example' >&2; exit 100", "no network"),
        ("echo 'write error: No space left on device'; exit 1", "the disk is full"),
        ("echo 'SSLError(CERTIFICATE_VERIFY_FAILED)'; echo other; exit 1", "certificate"),
        ("echo one; echo the last words; exit 3", "the last words"),
        ("exit 3", "without a word"),
    ],
)
def test_why_a_command_failed_is_found_in_what_it_printed(tmp_path: Path, script: str, line: str):
    with pytest.raises(ImageError, match=line) as caught:
        room(tmp_path).outside(["sh", "-c", script], "Python packages", ignore, Silent())
    assert str(caught.value).startswith("Python packages: ")
    assert str(tmp_path / "log") in str(caught.value)


@as_root
def test_a_killed_builder_takes_its_commands_along(tmp_path: Path):
    (tmp_path / "cache").mkdir()
    script = (
        "import sys; from pathlib import Path; sys.path[:0] = [sys.argv[2], sys.argv[3]]\n"
        "from tests.unit.test_image_build import Silent, ignore, room\n"
        "command = 'setsid sh -c \"echo running; exec sleep ' + sys.argv[4] + '\" & wait'\n"
        "room(Path(sys.argv[1])).outside(['sh', '-c', command], 'x', ignore, Silent())"
    )
    root = Path(__file__).resolve().parents[2]
    mark = str(10**6 + os.getpid())
    builder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(root), str(root / "src"), mark])
    log = tmp_path / "log"
    try:
        until(lambda: log.exists() and "running" in log.read_text().splitlines() and sleepers(mark))
    finally:
        builder.send_signal(signal.SIGKILL)
        builder.wait()
    until(lambda: not sleepers(mark))


def sleepers(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path.parent.name] if path.read_bytes() == f"sleep\0{mark}\0".encode() else []
        except OSError:
            continue
    return found


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
