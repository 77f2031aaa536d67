"""Pieces in files: each behind a mark, its length and its SHA-256, in packs of at most 64 MiB. Packs are only ever appended to.

What a pack holds is found by reading it, so that there is no index that could say more than what is on the disk: a pack that was cut off anywhere, by a kill or
a full disk, is good up to its last whole piece. One process at a time.
"""

import hashlib
import os
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elabs.storage.transfer.manifest import PIECE, ArchiveError

PACK = 64 * 2**20
"""The longest pack, in bytes."""
_HEAD = struct.Struct(">4sI32s")
_MARK = b"elbP"
LONGEST_PIECE = PIECE + _HEAD.size


@dataclass(frozen=True, slots=True)
class Where:
    """Where a piece is."""

    pack: int
    """From 1."""
    offset: int
    """Of its bytes, in the pack."""
    size: int


def name(pack: int) -> str:
    """File name of a pack, from 1."""
    return f"{pack:06}.pack"


def open_plain(path: Path, flags: int) -> int:
    """Open a file of an archive; ArchiveError where it is a link, a pipe or a device, which a hostile archive may hold."""
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise ArchiveError(f"{path} is a link, and no archive has one") from None
        raise OSError(error.errno, error.strerror, str(path)) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ArchiveError(f"{path} is no plain file")
    return fd


class Packs:
    """The packs in a folder, and in `pieces` what is known to be in them, by SHA-256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pieces: dict[bytes, Where] = {}
        self._good: dict[int, int] = {}
        """How far each pack was read back, in bytes."""
        self._pack, self._fd, self._end = 0, -1, 0
        self._reading: tuple[int, int] = (0, -1)

    def sizes(self) -> list[int]:
        """Bytes of each pack. ArchiveError where one between is missing."""
        found: list[int] = []
        while (path := self.folder / name(len(found) + 1)).exists():
            found.append(path.stat().st_size)
        if extra := [path.name for path in self.folder.glob("*.pack") if path.name not in {name(number + 1) for number in range(len(found))}]:
            raise ArchiveError(f"{self.folder / name(len(found) + 1)} is missing, and there is {min(extra)}")
        return found

    def recover(self, report: Callable[[int], None]) -> None:
        """Know every whole piece that is there, read and verified, and cut off what is not whole. `report` hears the bytes read."""
        last = 0
        for pack, size in enumerate(self.sizes(), 1):
            fd = open_plain(self.folder / name(pack), os.O_RDWR)
            try:
                end = 0
                for sha256, where in _verified(fd, 0, pack):
                    self.pieces.setdefault(sha256, where)
                    end = where.offset + where.size
                    report(where.size)
                if end < size:
                    os.ftruncate(fd, end)
                self._good[pack] = end
            finally:
                os.close(fd)
            last = pack
        if last:
            self._open(last)

    def index(self) -> None:
        """Know what the packs say to hold, without reading it. ArchiveError where a pack is no sequence of pieces."""
        for pack, size in enumerate(self.sizes(), 1):
            fd = open_plain(self.folder / name(pack), os.O_RDONLY)
            try:
                offset = 0
                while offset < size:
                    head = _head(os.pread(fd, _HEAD.size, offset))
                    if head is None or offset + _HEAD.size + head[0] > size:
                        raise ArchiveError(f"{self.folder / name(pack)} is damaged at byte {offset}")
                    self.pieces.setdefault(head[1], Where(pack, offset + _HEAD.size, head[0]))
                    offset += _HEAD.size + head[0]
            finally:
                os.close(fd)

    def add(self, sha256: bytes, data: bytes) -> None:
        """Append a piece."""
        if sha256 in self.pieces:
            return
        if not self._pack or self._end + _HEAD.size + len(data) > PACK:
            self.flush()
            self._open(self._pack + 1)
        parts, offset = [_HEAD.pack(_MARK, len(data), sha256), data], self._end
        written = os.pwritev(self._fd, parts, offset)
        whole = _HEAD.size + len(data)
        while written < whole:  # a disk that has just become full takes a part, and then says why
            written += os.pwrite(self._fd, b"".join(parts)[written:], offset + written)
        self._end += whole
        self.pieces[sha256] = Where(self._pack, offset + _HEAD.size, len(data))

    def flush(self) -> None:
        """Have on the disk what was added."""
        if self._fd >= 0:
            os.fsync(self._fd)

    def _open(self, pack: int) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        path = self.folder / name(pack)
        self._pack, self._fd = pack, open_plain(path, os.O_RDWR | os.O_CREAT)
        self._end = os.fstat(self._fd).st_size

    def verify(self, report: Callable[[int], None]) -> None:
        """Read back all that was not read since it was written. ArchiveError where the disk does not give back what it was given."""
        self.flush()
        for pack, size in enumerate(self.sizes(), 1):
            fd = open_plain(self.folder / name(pack), os.O_RDONLY)
            try:
                end = self._good.get(pack, 0)
                if end == size:
                    continue
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # from the disk, not from memory
                for _, where in _verified(fd, end, pack):
                    end = where.offset + where.size
                    report(where.size)
                if end != size:
                    raise ArchiveError(
                        f"{self.folder / name(pack)} does not read back as it was written, at byte {end}; run the command again, or take another disk"
                    )
                self._good[pack] = end
            finally:
                os.close(fd)

    def read(self, sha256: bytes) -> bytes:
        """A piece, verified. ArchiveError where it is damaged, KeyError where it was never there."""
        where = self.pieces[sha256]
        if self._reading[0] != where.pack:
            self._close_reading()
            self._reading = (where.pack, open_plain(self.folder / name(where.pack), os.O_RDONLY))
        data = os.pread(self._reading[1], where.size, where.offset)
        if hashlib.sha256(data).digest() != sha256:
            raise ArchiveError(f"{self.folder / name(where.pack)} is damaged at byte {where.offset}; export the home again, or copy that file again")
        return data

    def _close_reading(self) -> None:
        if self._reading[1] >= 0:
            os.close(self._reading[1])
        self._reading = (0, -1)

    def close(self) -> None:
        """Close all files."""
        self._close_reading()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _head(raw: bytes) -> tuple[int, bytes] | None:
    if len(raw) < _HEAD.size:
        return None
    mark, size, sha256 = _HEAD.unpack(raw)
    return (size, sha256) if mark == _MARK and 0 < size <= PIECE else None


def _verified(fd: int, start: int, pack: int) -> Iterator[tuple[bytes, Where]]:
    """The whole pieces of a pack from `start` on, up to the first that is not."""
    offset = start
    with os.fdopen(os.dup(fd), "rb", 2**20) as file:
        file.seek(start)
        while head := _head(file.read(_HEAD.size)):
            size, sha256 = head
            data = file.read(size)
            if len(data) < size or hashlib.sha256(data).digest() != sha256:
                return
            yield sha256, Where(pack, offset + _HEAD.size, size)
            offset += _HEAD.size + size
