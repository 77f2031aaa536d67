"""A person's home: one btrfs subvolume with a quota, owned by the person's own ids. Made once; only `elabs home delete` ever deletes one."""

import os
import re
from pathlib import Path

from elabs.config.state import State
from elabs.storage.ids import LAB_ID
from elabs.storage.run import StorageError, run
from elabs.storage.slugs import is_slug

_TOP = 256
"""Inode number of the top of every subvolume."""


def ensure(state: State, slug: str, block: int, quota: int) -> Path:
    """The home of `slug`, made the first time, with its quota as configured now.

    `block` is the person's first id, `quota` bytes. Root only. StorageError where the home belongs to somebody else.
    """
    if not is_slug(slug):
        raise StorageError(f"{slug!r} cannot name a home")
    home, owner = state.homes / slug, block + LAB_ID
    if not home.exists():
        partial = state.homes / f".{slug}.partial"
        if not partial.exists():
            run("btrfs", "subvolume", "create", str(partial))
        os.chmod(partial, 0o700)
        os.chown(partial, owner, owner)
        os.rename(partial, home)
    found = home.lstat()
    if home.is_symlink() or found.st_uid != owner:
        raise StorageError(f"the home {home} belongs to uid {found.st_uid} and not to {owner}, its person; if it is theirs: chown -R {owner}:{owner} {home}")
    run("btrfs", "qgroup", "limit", str(quota), str(home))
    return home


def usage(home: Path) -> tuple[int, int | None]:
    """Bytes used and the quota in bytes (None where there is none) of a home."""
    shown = run("btrfs", "qgroup", "show", "-reF", "--raw", str(home))
    for line in shown.splitlines():
        if found := re.match(r"\s*0/\d+\s+(\d+)\s+\d+\s+(\d+|none)", line):
            return int(found[1]), None if found[2] == "none" else int(found[2])
    raise StorageError(f"btrfs does not tell the quota of {home}")


def every(state: State) -> list[str]:
    """Slugs of the homes there are."""
    return sorted(path.name for path in state.homes.iterdir() if is_slug(path.name) and path.is_dir() and not path.is_symlink())


def delete(state: State, slug: str) -> None:
    """Delete the home of `slug` with all that is in it; the person's ids stay theirs. Root only; StorageError where it cannot be."""
    home = state.homes / slug
    if not is_slug(slug) or home.is_symlink() or not home.is_dir():
        raise StorageError(f"there is no home {slug}")
    for volume in _volumes_in(home):
        run("btrfs", "subvolume", "delete", str(volume))
    run("btrfs", "subvolume", "delete", str(home))


def _volumes_in(home: Path) -> list[Path]:
    """Subvolumes that the person made inside the home, which btrfs lets anybody do; those furthest down first."""
    found, device = [], home.stat().st_dev
    for folder, folders, _ in os.walk(home, followlinks=False):
        for name in folders:
            path = Path(folder, name)
            status = path.lstat()
            if status.st_ino == _TOP and status.st_dev != device and not path.is_symlink():
                found.append(path)
    return sorted(found, key=lambda path: len(path.parts), reverse=True)
