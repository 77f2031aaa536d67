"""Building an image: steps in a hidden folder, each marked when done, and one rename at the end.

A build that was cut short (killed, no network, a full disk) goes on at the step that was not finished; nothing half-made ever has an image's name. One
build runs at a time on a state folder; another waits for it and then finds its work done.
"""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elabs.config.state import State
from elabs.config.units import format_bytes
from elabs.runtime.images import definition, host, mirror, store
from elabs.runtime.images.errors import ImageError
from elabs.runtime.images.progress import Report, rising, within
from elabs.runtime.images.rooms import Room
from elabs.runtime.images.steps import STEPS, Build, Step, versions
from elabs.runtime.images.store import Image

_PROGRAMS = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "setpriv": "util-linux", "chroot": "coreutils"}


def build(state: State, name: str, report: Report) -> Image:
    """The image of that name as it is defined now, built if need be. ImageError, one line, where that cannot be."""
    wanted = definition.load(name)
    report = rising(report)
    if os.geteuid():
        raise ImageError("building an image needs root")
    _make_folders(state)
    with alone(state, report) as lock:
        final = state.images / f"{name}-{wanted.key}"
        if final.is_dir():
            store.point(state, name, final)
        else:
            _discard_outdated(state, wanted)
            _build(state, wanted, lock, report)
        found = store.find(state, name)
        assert found is not None
        report(1.0, "done")
        return found


def _build(state: State, wanted: definition.Definition, lock: int, report: Report) -> None:
    _check_programs()
    sources = mirror.sources(wanted.suite)
    partial = state.images / f".{wanted.name}-{wanted.key}.partial"
    _check_space(state, wanted, partial)
    done, result, cache = partial / "done", partial / "image", partial / "cache"
    for folder in (partial, done, cache, result):
        folder.mkdir(mode=0o755 if folder == result else 0o700, exist_ok=True)
    host.prepare(partial / "input", wanted.requirements)
    room = Room(result / "rootfs", partial / "input", cache, state.logs / f"image-{wanted.name}.log", lock, host.environment())
    work = Build(wanted, room, sources)
    steps = [step for step in STEPS if step.wanted(wanted)]
    total, reached = sum(step.weight for step in steps), 0.0
    for step in steps:
        if not (done / step.name).exists():
            _guarded(step, work, within(report, reached / total, (reached + step.weight) / total))
            (done / step.name).touch()
        reached += step.weight
    image = Image(wanted.name, wanted.key, room.rootfs, wanted.apps, versions(work), time.strftime("%FT%TZ", time.gmtime()), _size(room.rootfs))
    store.publish(state, result, image)
    shutil.rmtree(partial)


def _guarded(step: Step, work: Build, report: Report) -> None:
    """Run a step; what the file system says no to becomes one line as well."""
    report(0.0, step.name)
    try:
        step.run(work, report)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ImageError(
                f"image {work.definition.name}: the disk is full ({error.filename}); free some space and try again, the build goes on where it was"
            ) from error
        raise ImageError(f"image {work.definition.name}, step {step.name}: {error}") from error


@contextmanager
def alone(state: State, report: Report) -> Iterator[int]:
    """Hold the lock of this state folder's builds; the descriptor is for children to inherit."""
    with (state.images / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(0.0, "waiting for another build to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _make_folders(state: State) -> None:
    state.images.mkdir(mode=0o755, parents=True, exist_ok=True)
    state.logs.mkdir(mode=0o700, exist_ok=True)


def _discard_outdated(state: State, wanted: definition.Definition) -> None:
    """Attempts at a definition that has changed since will never be finished."""
    for path in state.images.glob(f".{wanted.name}-*.partial"):
        if path.name != f".{wanted.name}-{wanted.key}.partial":
            shutil.rmtree(path)


def _check_programs() -> None:
    missing = sorted({package for program, package in _PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        raise ImageError(f"building an image needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
    if not mirror.KEYRING.is_file():
        raise ImageError(f"{mirror.KEYRING} is missing, with which packages are verified: apt-get install debian-archive-keyring")


def _check_space(state: State, wanted: definition.Definition, partial: Path) -> None:
    needed = wanted.space - (_size(partial) if partial.exists() else 0)
    free = shutil.disk_usage(state.images).free
    if free < needed:
        raise ImageError(f"image {wanted.name} needs {format_bytes(needed)} in {state.images}, and {format_bytes(free)} are free")


def _size(folder: Path) -> int:
    """Bytes on disk of a folder and all in it; a file with several names counts once."""
    sizes: dict[tuple[int, int], int] = {}
    for where, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            entry = os.lstat(os.path.join(where, name))
            sizes[entry.st_dev, entry.st_ino] = entry.st_blocks * 512
    return sum(sizes.values())
