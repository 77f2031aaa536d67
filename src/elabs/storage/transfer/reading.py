"""A home -> its entries in order, and the pieces of its files. Only reads: nothing in the home changes, not even where a file may not be read.

A file that changes while it is read is told, and recorded as the bytes that were read. Sockets, pipes and devices have no content and are left out.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from elabs.storage.transfer.folders import Folders, names
from elabs.storage.transfer.manifest import EMPTY, PIECE, RESERVED, Entry, Piece, shown, text

Send = Callable[[bytes, bytes], None]
"""Takes a piece: its SHA-256 and its bytes."""


@dataclass
class Notes:
    """What is to be said at the end, with paths as JSON has them."""

    changed: list[str] = field(default_factory=list)
    """Changed, or gone, while they were read."""
    unreadable: list[str] = field(default_factory=list)
    special: int = 0
    """Sockets, pipes and devices."""


@dataclass
class Totals:
    """How much there is to read."""

    files: int = 0
    bytes: int = 0


class Reader:
    """Reads one home."""

    def __init__(self, root: int) -> None:
        self._root = root
        self.notes = Notes()
        self._links: dict[tuple[int, int], bytes] = {}

    def totals(self, alive: Callable[[], None]) -> Totals:
        """Files and bytes, without reading one; `alive` is called now and then."""
        found = Totals()
        for _, status, _ in self._walk(Notes()):
            if stat.S_ISREG(status.st_mode):
                found.files += 1
                found.bytes += min(status.st_size, status.st_blocks * 512) // status.st_nlink
            alive()
        return found

    def entries(self, send: Send) -> Iterator[Entry]:
        """Every entry, in order; the pieces of a file go to `send` before it comes."""
        for path, status, folder in self._walk(self.notes):
            kind, name = status.st_mode, path.rpartition(b"/")[2]
            try:
                if stat.S_ISDIR(kind):
                    yield Entry(path, "folder", kind & 0o1777, status.st_mtime_ns, xattrs=self._folder_xattrs(name, folder))
                elif stat.S_ISLNK(kind):
                    yield Entry(path, "symlink", 0, status.st_mtime_ns, target=os.readlink(name, dir_fd=folder))
                elif not stat.S_ISREG(kind):
                    self.notes.special += 1
                elif status.st_nlink > 1 and (first := self._links.get((status.st_dev, status.st_ino))):
                    yield Entry(path, "link", target=first)
                elif entry := self._file(path, name, folder, send):
                    if status.st_nlink > 1:
                        self._links[status.st_dev, status.st_ino] = path
                    yield entry
            except OSError as error:
                self._note(self.notes, path, error)

    def _walk(self, notes: Notes) -> Iterator[tuple[bytes, os.stat_result, int]]:
        """Path, status and the folder's descriptor of everything, each folder before what is in it, names in the order of their bytes."""
        folders = Folders(self._root)
        try:
            waiting = [(b"", iter(_names(self._root, top=True)))]
            while waiting:
                parent, left = waiting[-1]
                name = next(left, None)
                if name is None:
                    waiting.pop()
                    continue
                path = parent + b"/" + name if parent else name
                try:
                    folder = folders.open(parent)
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                except OSError as error:
                    self._note(notes, path, error)
                    continue
                yield path, status, folder
                if stat.S_ISDIR(status.st_mode):
                    try:
                        waiting.append((path, iter(_names(folders.open(path)))))
                    except OSError as error:
                        self._note(notes, path, error)
        finally:
            folders.close()

    def _note(self, notes: Notes, path: bytes, error: OSError) -> None:
        if error.errno in (errno.EACCES, errno.EPERM):
            kind = notes.unreadable
        elif error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE):
            kind = notes.changed
        else:
            raise OSError(error.errno, error.strerror, shown(path))
        if not kind or kind[-1] != text(path):
            kind.append(text(path))

    def _folder_xattrs(self, name: bytes, folder: int) -> dict[str, bytes]:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except PermissionError:
            return {}  # told when its names are to be read
        try:
            return xattrs(fd)
        finally:
            os.close(fd)

    def _file(self, path: bytes, name: bytes, folder: int, send: Send) -> Entry | None:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                self.notes.changed.append(text(path))
                return None
            size, sha256, pieces = _content(fd, before, send)
            after = os.fstat(fd)
            if (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (after.st_size, after.st_mtime_ns, after.st_ctime_ns) or size != after.st_size:
                self.notes.changed.append(text(path))
            return Entry(path, "file", before.st_mode & 0o777, before.st_mtime_ns, size, sha256, pieces, xattrs=xattrs(fd))
        finally:
            os.close(fd)


def _names(folder: int, *, top: bool = False) -> list[bytes]:
    found = names(folder)
    if top:
        found = [name for name in found if name != RESERVED and not is_the_disks(folder, name)]
    return found


def is_the_disks(folder: int, name: bytes) -> bool:
    """Whether a name at the top of a volume is the file system's own and nothing of the person's."""
    if name != b"lost+found" or os.geteuid() == 0:
        return False
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == 0


def xattrs(fd: int) -> dict[str, bytes]:
    """Attributes `user.*`; none where the file system has none."""
    try:
        return {name: os.getxattr(fd, name) for name in os.listxattr(fd) if name.startswith("user.")}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA, errno.EACCES):
            return {}
        raise


def _content(fd: int, status: os.stat_result, send: Send) -> tuple[int, str, tuple[Piece, ...]]:
    """Size, SHA-256 and pieces of a file as it was read."""
    size = status.st_size
    if not size:
        return 0, EMPTY, ()
    if size <= PIECE and status.st_blocks * 512 >= size:
        data = os.pread(fd, size, 0)
        if not data:
            return 0, EMPTY, ()
        digest = hashlib.sha256(data)
        send(digest.digest(), data)
        return len(data), digest.hexdigest(), (Piece(0, len(data), digest.hexdigest()),)
    whole, pieces = hashlib.sha256(), []
    for offset, length in runs(fd, size, sparse=status.st_blocks * 512 < size):
        data = os.pread(fd, length, offset)
        if data:
            digest = hashlib.sha256(data)
            whole.update(data)
            send(digest.digest(), data)
            pieces.append(Piece(offset, len(data), digest.hexdigest()))
        if len(data) < length:  # it became shorter
            size = offset + len(data)
            break
    return size, whole.hexdigest(), tuple(pieces)


def runs(fd: int, size: int, *, sparse: bool) -> Iterator[tuple[int, int]]:
    """Offset and length (at most PIECE) of the data in the first `size` bytes of a file."""
    end = 0
    while end < size:
        start = end
        if sparse:
            try:
                start = os.lseek(fd, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
        end = min(size, os.lseek(fd, start, os.SEEK_HOLE)) if sparse else size
        for offset in range(start, end, PIECE):
            yield offset, min(PIECE, end - offset)


def data_matches(fd: int, entry: Entry, alive: Callable[[], None]) -> bool:
    """Whether a file has exactly the content of `entry`: its data read back, and nothing but zeros between. `alive` is called now and then."""
    if os.fstat(fd).st_size != entry.size:
        return False
    whole, end = hashlib.sha256(), 0
    for piece in entry.pieces:
        data = os.pread(fd, piece.size, piece.offset)
        whole.update(data)
        if len(data) != piece.size or not _zeros(fd, end, piece.offset):
            return False
        end = piece.offset + piece.size
        alive()
    return whole.hexdigest() == entry.sha256 and _zeros(fd, end, entry.size)


def _zeros(fd: int, start: int, end: int) -> bool:
    while start < end:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return True
            raise
        if start < end and os.pread(fd, min(PIECE, end - start), start).strip(b"\0"):
            return False
        start += PIECE
    return True
