"""Layers of an OCI image: file trees as tar streams whose bytes, and so whose digests, depend on nothing but the tree.

Names are sorted, owners are numbers, times are whole seconds. Hard links, symbolic links, setuid bits and file capabilities are kept; device nodes and sockets
are left out, since whoever runs the image makes its own.
"""

import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from elabs.runtime.images.progress import Report

OWN_TIME = 315532800
"""Modification time of what we add: the first second of 1980, as early as every archive format can say it."""
_LEVEL = 1
"""Of gzip: the next levels take twice the time for a tenth less."""
_BLOCK = 2**20
_XATTR = "SCHILY.xattr."


@dataclass(frozen=True)
class Member:
    """One entry of a layer."""

    info: tarfile.TarInfo
    content: Path | bytes | None = None
    """Of a regular file."""


@dataclass(frozen=True)
class Layer:
    """What an image says of a layer."""

    digest: str
    """`sha256:…` over the bytes as they are stored."""
    diff_id: str
    """`sha256:…` over the tar stream."""
    size: int
    """Bytes as they are stored."""
    compressed: bool

    @property
    def media_type(self) -> str:
        """As manifests write it."""
        return "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if self.compressed else "")


def tree(root: Path) -> list[Member]:
    """All that a root file system holds, folders before what is in them. OSError where something cannot be read."""
    first: dict[tuple[int, int], str] = {}
    return [member for entry in _walk(root) if (member := _member(entry, root, first))]


def own(path: Path, content: bytes | None, mode: int, owner: int = 0) -> Member:
    """A file that we add to an image, or with `content` None a folder; `path` is absolute there."""
    info = tarfile.TarInfo(str(path).lstrip("/"))
    info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    info.size = len(content or b"")
    info.mode, info.uid, info.gid, info.mtime = mode, owner, owner, OWN_TIME
    return Member(info, content)


def write(members: Sequence[Member], target: BinaryIO, compressed: bool, report: Report) -> Layer:
    """Write a layer to `target`. OSError where that fails, or where a file of the tree cannot be read."""
    stored = _Hashed(target)
    gzip = _Gzip(stored) if compressed else None
    plain = _Hashed(gzip or stored)
    total, done, said = max(1, sum(member.info.size for member in members)), 0, -1
    # PAX: names of any length and bytes, sizes and owners of any magnitude, extended attributes
    with tarfile.open(fileobj=cast(BinaryIO, plain), mode="w|", bufsize=_BLOCK, format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            if isinstance(member.content, Path):
                with member.content.open("rb") as file:
                    tar.addfile(member.info, file)
            else:
                tar.addfile(member.info, io.BytesIO(member.content) if member.content is not None else None)
            done += member.info.size
            if (percent := 100 * done // total) != said:
                said = percent
                report(done / total, "packing files")
    if gzip:
        gzip.finish()
    return Layer(stored.digest, plain.digest, stored.size, compressed)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))


def _member(entry: os.DirEntry[str], root: Path, first: dict[tuple[int, int], str]) -> Member | None:
    found = entry.stat(follow_symlinks=False)
    info = tarfile.TarInfo(os.path.relpath(entry.path, root))
    info.mode, info.uid, info.gid, info.mtime = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, int(found.st_mtime)
    if stat.S_ISDIR(found.st_mode):
        info.type = tarfile.DIRTYPE
    elif (found.st_dev, found.st_ino) in first:
        info.type, info.linkname = tarfile.LNKTYPE, first[found.st_dev, found.st_ino]
        return Member(info)
    elif stat.S_ISLNK(found.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(entry.path)
    elif stat.S_ISREG(found.st_mode):
        info.size = found.st_size
    elif stat.S_ISFIFO(found.st_mode):
        info.type = tarfile.FIFOTYPE
    else:
        return None
    if not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1:
        first[found.st_dev, found.st_ino] = info.name
    info.pax_headers = _attributes(entry.path)
    return Member(info, Path(entry.path) if info.isreg() else None)


def _attributes(path: str) -> dict[str, str]:
    """Capabilities and users' own attributes, as tar writes them; all others are this machine's."""
    names = [name for name in sorted(os.listxattr(path, follow_symlinks=False)) if name == "security.capability" or name.startswith("user.")]
    return {_XATTR + name: os.getxattr(path, name, follow_symlinks=False).decode("utf-8", "surrogateescape") for name in names}


class _Target(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Hashed:
    """Passes bytes on, and knows their number and digest."""

    def __init__(self, target: _Target) -> None:
        self._target, self._sum, self.size = target, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._sum.update(data)
        self.size += len(data)
        self._target.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sum.hexdigest()}"


class _Gzip:
    """Passes bytes on compressed; unlike the library's it writes neither a time nor a name."""

    def __init__(self, target: _Target) -> None:
        self._target, self._zlib = target, zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def write(self, data: bytes) -> None:
        if packed := self._zlib.compress(data):
            self._target.write(packed)

    def finish(self) -> None:
        self._target.write(self._zlib.flush())
