"""The disk that holds the homes: the host's own btrfs, or a btrfs in one file that is allocated in full, so that homes can never fill the host's disk."""

import os
import shutil
from pathlib import Path

from elabs.config.model import Config
from elabs.config.state import State
from elabs.config.units import format_bytes
from elabs.storage.run import StorageError, run

SMALLEST = 256 * 2**20
"""Bytes below which btrfs makes no sense of a file."""
_SPARE = 512 * 2**20
_OPTIONS = "nosuid,nodev,noatime,nodiscard"
"""Without nodiscard, btrfs gives what a deleted file had back to the host, whose other programs then take it: the homes would end before their pool does."""


def ensure(state: State, config: Config) -> None:
    """Make `state.homes` a place for subvolumes with quotas, growing or mounting what is there. Root only; StorageError in one line, nothing half done."""
    state.homes.mkdir(mode=0o711, parents=True, exist_ok=True)
    if not on_btrfs(state.homes):
        _ensure_file(state, config.storage.pool)
        run("mount", "-o", f"loop,{_OPTIONS}", "-t", "btrfs", str(state.pool), str(state.homes))
    elif is_mounted(state):
        _grow(state, config.storage.pool)
    os.chmod(state.homes, 0o711)
    run("btrfs", "quota", "enable", str(state.homes))


def close(state: State) -> None:
    """Unmount the homes where they are on a file of ours. StorageError while a lab still uses them."""
    if is_mounted(state):
        run("umount", str(state.homes))


def on_btrfs(path: Path) -> bool:
    """Whether `path` lies on a btrfs."""
    return run("stat", "--file-system", "--format=%T", str(path)).strip() == "btrfs"


def is_mounted(state: State) -> bool:
    """Whether the homes are a mount of their own."""
    return os.path.ismount(state.homes)


def _room(state: State, wanted: int) -> None:
    free = shutil.disk_usage(state.root).free
    if free < wanted + _SPARE:
        raise StorageError(
            f"storage.pool wants {format_bytes(wanted)} more on the disk of {state.root}, which has {format_bytes(free)} free "
            f"(and needs {format_bytes(_SPARE)} to spare); lower storage.pool, or give --state a larger disk"
        )


def _ensure_file(state: State, size: int) -> None:
    if state.pool.exists():
        _enlarge(state, size)
        return
    if size < SMALLEST:
        raise StorageError(f"storage.pool is {format_bytes(size)}; homes need {format_bytes(SMALLEST)} at least")
    partial = state.pool.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    _room(state, size)
    with open(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            partial.unlink()
            raise StorageError(f"{state.pool}: {error.strerror}") from error
    run("mkfs.btrfs", "--quiet", "--label", "elabs-homes", str(partial))
    os.replace(partial, state.pool)


def _enlarge(state: State, size: int) -> bool:
    """Allocate more of the file where the setting was raised; a lowered one changes nothing, since homes may use what is there. Whether it grew.

    What is allocated is counted, not assumed: a copy or a restored backup of the file has holes.
    """
    there = state.pool.stat()
    wanted = max(size, there.st_size)
    missing = wanted - there.st_blocks * 512
    if missing <= 0:
        return False
    _room(state, missing)
    with state.pool.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, wanted)
    return wanted > there.st_size


def _grow(state: State, size: int) -> None:
    if state.pool.exists() and _enlarge(state, size):
        device = run("findmnt", "--noheadings", "--output", "SOURCE", str(state.homes)).strip()
        run("losetup", "--set-capacity", device)
        run("btrfs", "filesystem", "resize", "max", str(state.homes))
