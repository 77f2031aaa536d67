"""Entries and pieces -> a home. Never over what is there; cut off anywhere, the next run goes on.

A file is written beside the tree, had on the disk, read back from it and only then given its name, so that under its name it is whole.
What an import has to know after it was cut off is in the folder `.elabs-import` of the home: `archive`, which one it is of, locked while an import runs;
`folders.jsonl`, which folders it made itself, and the mode of those that it had to open for itself; and files that are not whole yet.
A folder gets its mode and time last of all.
Runs as the person, who owns all that it makes.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from elabs.storage.run import StorageError
from elabs.storage.transfer.folders import Folders, names
from elabs.storage.transfer.manifest import RESERVED, Entry, text
from elabs.storage.transfer.reading import data_matches, is_the_disks

_CREATE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OFTEN = 128 * 2**20
"""Bytes after which they are had on the disk."""
_SYNCFS = ctypes.CDLL(None, use_errno=True).syncfs


@dataclass
class Results:
    """What was done, with paths as JSON has them."""

    files: int = 0
    """Files written."""
    bytes: int = 0
    """Bytes written."""
    kept: int = 0
    """Files that were there with the same content."""
    conflicts: list[str] = field(default_factory=list)
    """What is there and is something else: not touched."""
    no_attributes: int = 0
    """Files and folders whose attributes the disk does not take."""


@dataclass
class _Open:
    """A file that is being written."""

    entry: Entry
    name: bytes
    fd: int
    first: int
    """Its first piece that is not there yet."""


class Writer:
    """Writes one archive into one home; `alive` is called now and then while there is nothing to tell."""

    def __init__(self, root: int, archive: str, alive: Callable[[], None]) -> None:
        self._root, self._archive, self._alive = root, archive, alive
        self._folders = Folders(root)
        self.results = Results()
        self._ours: set[bytes] = set()
        self._opened: dict[bytes, int] = {}
        """Mode of folders that were there, and that had to be opened to write into them."""
        self._made: list[Entry] = []
        self._blocked: set[bytes] = set()
        """Paths that are something else, so that nothing of the archive is below them."""
        self._batch: list[Entry] = []
        self._waiting: list[_Open] = []
        self._own = self._lock = self._log = -1

    def begin(self, *, merge: bool) -> bool:
        """Take the home; whether it goes on with an import that was cut off. StorageError where the home holds something, or another import."""
        try:
            os.mkdir(RESERVED, 0o700, dir_fd=self._root)
        except FileExistsError:
            pass
        self._own = os.open(RESERVED, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._root)
        self._lock = os.open(b"archive", _CREATE, 0o600, dir_fd=self._own)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError("another import into this home is running") from None
        except OSError:
            pass  # a disk without locks; only one agent is ever started there
        begun = os.pread(self._lock, 100, 0).decode("ascii", "replace")
        if begun not in ("", self._archive):
            raise StorageError("this home is the half of an import from another archive; finish that one, or delete the home and begin again")
        if not begun:
            if not merge and any(name != RESERVED and not is_the_disks(self._root, name) for name in names(self._root)):
                self._clear()
                raise StorageError("the home is not empty; --merge adds what it lacks and changes nothing that is there")
            os.pwrite(self._lock, self._archive.encode(), 0)
            os.fsync(self._lock)
        self._log = os.open(b"folders.jsonl", _CREATE | os.O_APPEND, 0o600, dir_fd=self._own)
        self._remember()
        return bool(begun)

    def _remember(self) -> None:
        with os.fdopen(os.dup(self._log), "rb") as file:
            file.seek(0)
            for line in file:
                try:
                    known = json.loads(line)
                    path = known["path"].encode("utf-8", "surrogateescape")
                    if "mode" in known:
                        self._opened.setdefault(path, int(known["mode"]))
                    else:
                        self._ours.add(path)
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # the line at which it was cut off: what it says was not done yet

    def _tell(self, **known: str | int) -> None:
        os.write(self._log, b"\n" + json.dumps(known).encode() + b"\n")

    def want(self, batch: list[Entry]) -> list[tuple[int, int]]:
        """Make the batch's folders and symbolic links; position and first missing piece of each file whose content is to come, in order."""
        self._batch, wanted = batch, []
        for index, entry in enumerate(batch):
            self._alive()
            if self._under_blocked(entry):
                continue
            if entry.type == "folder":
                self._folder(entry)
            elif entry.type == "symlink":
                self._symlink(entry)
            elif entry.type == "file" and self._lacks(entry):
                waiting = self._open(index, entry)
                self._waiting.append(waiting)
                wanted.append((index, waiting.first))
        return wanted

    def _under_blocked(self, entry: Entry) -> bool:
        if entry.parent in self._blocked:
            if entry.type == "folder":
                self._blocked.add(entry.path)
            return True
        return False

    def _conflict(self, entry: Entry) -> None:
        self.results.conflicts.append(text(entry.path))
        self._blocked.add(entry.path)

    def _status(self, entry: Entry) -> os.stat_result | None:
        try:
            return os.stat(entry.name, dir_fd=self._folders.open(entry.parent), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _folder(self, entry: Entry) -> None:
        there = self._status(entry)
        if there is None:
            self._tell(path=text(entry.path))
            self._ours.add(entry.path)
            os.mkdir(entry.name, 0o700, dir_fd=self._folders.open(entry.parent))
        elif not stat.S_ISDIR(there.st_mode):
            self._conflict(entry)
            return
        elif there.st_mode & 0o700 != 0o700:
            mode = stat.S_IMODE(there.st_mode)
            if entry.path not in self._ours:
                self._tell(path=text(entry.path), mode=mode)
                self._opened.setdefault(entry.path, mode)
            with _node(self._folders.open(entry.parent), entry.name) as node:
                os.chmod(node, mode | 0o700)
        if entry.path in self._ours:
            self._made.append(entry)
            if entry.xattrs:
                self._attributes(self._folders.open(entry.path), entry)

    def _symlink(self, entry: Entry) -> None:
        there = self._status(entry)
        if there is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(b"symlink", dir_fd=self._own)
            os.symlink(entry.target, b"symlink", dir_fd=self._own)
            os.utime(b"symlink", ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=self._own, follow_symlinks=False)
            os.rename(b"symlink", entry.name, src_dir_fd=self._own, dst_dir_fd=self._folders.open(entry.parent))
        elif not stat.S_ISLNK(there.st_mode) or os.readlink(entry.name, dir_fd=self._folders.open(entry.parent)) != entry.target:
            self._conflict(entry)

    def _lacks(self, entry: Entry) -> bool:
        there = self._status(entry)
        if there is None:
            return True
        if stat.S_ISREG(there.st_mode) and there.st_size == entry.size:
            with self._look(entry, there) as fd:
                same = data_matches(fd, entry, self._alive)
            if same:
                self.results.kept += 1
                return False
        self._conflict(entry)
        return False

    @contextlib.contextmanager
    def _look(self, entry: Entry, status: os.stat_result) -> Iterator[int]:
        """A file that is there, open to read even where its mode keeps its owner out."""
        mode = stat.S_IMODE(status.st_mode)
        closed = not mode & stat.S_IRUSR
        if closed:
            with _node(self._folders.open(entry.parent), entry.name) as node:
                os.chmod(node, mode | stat.S_IRUSR)
        fd = os.open(entry.name, _LOOK, dir_fd=self._folders.open(entry.parent))
        try:
            if closed:
                os.fchmod(fd, mode)
            yield fd
        finally:
            os.close(fd)

    def _open(self, index: int, entry: Entry) -> _Open:
        """Begin a file, or go on with one: its pieces were written in order."""
        name = f"{index}-{entry.sha256}".encode()
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=self._own)
        except PermissionError:  # cut off between its mode and its name
            with _node(self._own, name) as node:
                os.chmod(node, 0o600)
            fd = os.open(name, _CREATE, 0o600, dir_fd=self._own)
        first = 0
        if len(entry.pieces) > 1 and os.fstat(fd).st_size == entry.size:
            while first < len(entry.pieces):
                piece = entry.pieces[first]
                if hashlib.sha256(os.pread(fd, piece.size, piece.offset)).hexdigest() != piece.sha256:
                    break
                first += 1
                self._alive()
        # nothing stays behind the last good piece
        os.ftruncate(fd, entry.pieces[first - 1].offset + entry.pieces[first - 1].size if first else 0)
        os.ftruncate(fd, entry.size)
        return _Open(entry, name, fd, first)

    def contents(self, receive: Callable[[], bytes]) -> None:
        """Write the files that `want` asked for; `receive` gives their pieces in order, from the first that was asked for. StorageError where one is wrong."""
        written = 0
        for waiting in self._waiting:
            for piece in waiting.entry.pieces[waiting.first :]:
                data = receive()
                if len(data) != piece.size:
                    raise StorageError("a piece that came is not as long as it has to be")
                _write(waiting.fd, data, piece.offset)
                written += piece.size
                if written >= _OFTEN:  # or one call at the end of a long file would be silent for minutes
                    os.fdatasync(waiting.fd)
                    written = 0
        self._settle()

    def _settle(self) -> None:
        """Read the batch's files back from the disk and give them their names, and then the links theirs."""
        if self._waiting:
            self._sync()
        for waiting in self._waiting:
            self._alive()
            entry = waiting.entry
            os.posix_fadvise(waiting.fd, 0, 0, os.POSIX_FADV_DONTNEED)
            if not data_matches(waiting.fd, entry, self._alive):
                os.unlink(waiting.name, dir_fd=self._own)
                raise StorageError(f"a file does not read back from the disk of the home as it was written: {json.dumps(text(entry.path))}")
            self._attributes(waiting.fd, entry)
            os.fchmod(waiting.fd, entry.mode)
            os.utime(waiting.fd, ns=(entry.mtime_ns, entry.mtime_ns))
            os.rename(waiting.name, entry.name, src_dir_fd=self._own, dst_dir_fd=self._folders.open(entry.parent))
            os.close(waiting.fd)
            self.results.files += 1
            self.results.bytes += entry.size
        self._waiting = []
        for entry in self._batch:
            if entry.type == "link" and entry.parent not in self._blocked:
                self._link(entry)
        self._batch = []

    def _link(self, entry: Entry) -> None:
        first = Entry(entry.target, "file")
        try:
            source = None if entry.target in self._blocked else self._status(first)
        except OSError:
            source = None
        if source is None or not stat.S_ISREG(source.st_mode):
            self._conflict(entry)
            return
        there = self._status(entry)
        if there is None:
            fd = os.dup(self._folders.open(first.parent))
            try:
                os.link(first.name, entry.name, src_dir_fd=fd, dst_dir_fd=self._folders.open(entry.parent), follow_symlinks=False)
            finally:
                os.close(fd)
        elif (there.st_dev, there.st_ino) != (source.st_dev, source.st_ino) and not self._alike(first, source, entry, there):
            self._conflict(entry)
            return
        else:
            self.results.kept += 1
            return
        self.results.files += 1

    def _alike(self, first: Entry, source: os.stat_result, entry: Entry, there: os.stat_result) -> bool:
        """Whether two files of the home have the same content."""
        if not stat.S_ISREG(there.st_mode) or there.st_size != source.st_size:
            return False
        with self._look(first, source) as a, self._look(entry, there) as b:
            for offset in range(0, there.st_size, 2**20):
                self._alive()
                if os.pread(a, 2**20, offset) != os.pread(b, 2**20, offset):
                    return False
        return True

    def _attributes(self, fd: int, entry: Entry) -> None:
        try:
            for name, value in entry.xattrs.items():
                os.setxattr(fd, name, value)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.ENOSPC, errno.E2BIG, errno.ERANGE):
                raise
            self.results.no_attributes += 1

    def _sync(self) -> None:
        if _SYNCFS(self._root) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def finish(self) -> None:
        """Give folders their modes and times, and leave nothing of the import behind but the person's files."""
        for entry in reversed(self._made):
            self._alive()
            fd = self._folders.open(entry.path)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
            os.fchmod(fd, entry.mode)
        for path, mode in sorted(self._opened.items(), reverse=True):
            os.fchmod(self._folders.open(path), mode)
        self._folders.forget()
        self._sync()
        self._clear()

    def _clear(self) -> None:
        for name in names(self._own):
            if name != b"archive":
                os.unlink(name, dir_fd=self._own)
        os.unlink("archive", dir_fd=self._own)
        os.rmdir(RESERVED, dir_fd=self._root)

    def close(self) -> None:
        """Close all files; the home itself stays open."""
        self._folders.close()
        for fd in (*(waiting.fd for waiting in self._waiting), self._own, self._lock, self._log):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)


@contextlib.contextmanager
def _node(folder: int, name: bytes) -> Iterator[str]:
    """A path by which to change the mode of what is there, and never of what a symbolic link leads to."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def is_half(root: int) -> bool:
    """Whether a home is the half of an import that was cut off."""
    try:
        os.stat(RESERVED, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _write(fd: int, data: bytes, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)
