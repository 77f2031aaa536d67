"""Homes for the tests of moving them: trees made of plain values, what a tree is, and the two moves with an agent beside."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elabs.storage.transfer import archive, exporting, importing
from elabs.storage.transfer.outcome import Outcome
from elabs.storage.transfer.process import beside

OWNER = 1_234_001_000 if os.geteuid() == 0 else None
"""Whom an import runs as, so that what only root may do is not done by accident."""


@dataclass
class File:
    content: bytes = b""
    mode: int = 0o644
    mtime_ns: int = 1_700_000_000_123_456_789
    size: int | None = None
    """Longer than the content: a hole at its end."""
    at: int = 0
    """Where the content begins, behind a hole."""
    links: int = 0
    """How many more names it has, beside it."""
    xattrs: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Folder:
    inside: dict[bytes, Any]
    mode: int = 0o755
    mtime_ns: int = 1_600_000_000_987_654_321


def make(home: Path, inside: dict[bytes, Any]) -> None:
    """A tree in `home`, which must exist; texts are symbolic links."""
    _fill(os.fsencode(home), inside)


def _fill(folder: bytes, inside: dict[bytes, Any]) -> None:
    for name, what in inside.items():
        path = folder + b"/" + name
        if isinstance(what, Folder):
            os.mkdir(path)
            _fill(path, what.inside)
            os.utime(path, ns=(0, what.mtime_ns))
            os.chmod(path, what.mode)
        elif isinstance(what, File):
            with open(path, "wb") as file:
                file.seek(what.at)
                file.write(what.content)
                file.truncate(max(what.size or 0, what.at + len(what.content)))
            for attribute, value in what.xattrs.items():
                os.setxattr(path, attribute, value)
            for number in range(what.links):
                os.link(path, folder + b"/" + name[:200] + b".link%d" % number)
            os.utime(path, ns=(0, what.mtime_ns))
            os.chmod(path, what.mode)
        else:
            os.symlink(what, path)
            os.utime(path, ns=(0, 1_500_000_000_111_222_333), follow_symlinks=False)


def tree(home: Path) -> dict[bytes, Any]:
    """All that an import has to bring, by path. Names of one file share a number."""
    found: dict[bytes, Any] = {}
    inodes: dict[int, int] = {}
    root = os.fsencode(home)
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            key = path[len(root) + 1 :]
            if stat.S_ISLNK(status.st_mode):
                found[key] = ("symlink", os.readlink(path), status.st_mtime_ns)
            elif stat.S_ISDIR(status.st_mode):
                found[key] = ("folder", stat.S_IMODE(status.st_mode), status.st_mtime_ns)
            else:
                with open(path, "rb") as file:
                    content = file.read() if status.st_size < 2**26 else _ends(file, status.st_size)
                attributes = {name: os.getxattr(path, name) for name in os.listxattr(path) if name.startswith("user.")}
                found[key] = ("file", stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_size, content, status.st_nlink, attributes, status.st_ino)
    for key in sorted(found):  # one order of numbers in every copy
        if found[key][0] == "file":
            found[key] = (*found[key][:-1], inodes.setdefault(found[key][-1], len(inodes)))
    return found


def _ends(file: Any, size: int) -> bytes:
    begin = file.read(2**20)
    file.seek(size - 2**20)
    return bytes(begin + file.read())


def owned(home: Path) -> Path:
    """A new empty home, the person's."""
    home.mkdir(parents=True)
    if OWNER is not None:
        os.chown(home, OWNER, OWNER)
    return home


def export(home: Path, folder: Path) -> Outcome:
    def silent(fraction: float, text: str) -> None:
        pass

    with exporting.Export(folder, "ana") as copy:
        copy.check(silent)
        with beside(home, None) as wire:
            copy.receive(wire, silent)
        return copy.complete(silent)


def give(folder: Path, home: Path, *, merge: bool = False) -> Outcome:
    with beside(home, OWNER) as wire:
        return importing.give(wire, archive.find(folder), lambda fraction, text: None, merge=merge)


@contextmanager
def writable(home: Path) -> Iterator[None]:
    """Make what was closed removable again at the end."""
    try:
        yield
    finally:
        for folder, folders, _ in os.walk(home):
            for name in folders:
                if not os.path.islink(os.path.join(folder, name)):
                    os.chmod(os.path.join(folder, name), 0o700)
