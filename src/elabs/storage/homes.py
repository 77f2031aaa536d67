"""A person's home: one btrfs subvolume with a quota, owned by the person's own ids. Made once; nothing here ever deletes one."""

import os
import re
from pathlib import Path

from elabs.config.state import State
from elabs.storage.ids import LAB_ID
from elabs.storage.run import StorageError, run
from elabs.storage.slugs import is_slug


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
