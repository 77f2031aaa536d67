"""An entry of a home as a line of the manifest, and which lines an import accepts: those that can only ever make files, folders and links inside the home.

Paths are bytes: in JSON they are text whose undecodable bytes are surrogates (`os.fsencode` of a UTF-8 system), and escapes keep each on its line.
`sha256` is of a file's bytes; of a file with holes, of the bytes that are not in holes, one after another. A file in one piece without holes does not list it.
"""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from elabs.storage.run import StorageError

PIECE = 4 * 2**20
"""The longest piece, in bytes."""
RESERVED = b".elabs-import"
"""Folder at the top of a home in which an import that is under way keeps its own files."""
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPES = ("folder", "file", "symlink", "link")
_LONGEST_NAME = 255
_LONGEST_TARGET = 4095
_LARGEST = 2**60
_FURTHEST = 2**62 * 10**9


class ArchiveError(StorageError):
    """An archive that cannot be used; `str()` is one line."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a file's bytes."""

    offset: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a home."""

    path: bytes
    """From the home, `/` between names."""
    type: Literal["folder", "file", "symlink", "link"]
    """`link` is one more name of a file that came before."""
    mode: int = 0
    """Permission bits of a file or folder, and the sticky bit of a folder."""
    mtime_ns: int = 0
    size: int = 0
    sha256: str = EMPTY
    pieces: tuple[Piece, ...] = ()
    target: bytes = b""
    """Text of a symbolic link; of a link, the path that it is another name of."""
    xattrs: dict[str, bytes] = field(default_factory=dict)
    """Extended attributes `user.*`."""

    @property
    def parent(self) -> bytes:
        """Path of the folder it is in, empty at the top."""
        return self.path.rpartition(b"/")[0]

    @property
    def name(self) -> bytes:
        """Last part of the path."""
        return self.path.rpartition(b"/")[2]

    @property
    def stored(self) -> int:
        """Bytes of all pieces."""
        return sum(piece.size for piece in self.pieces)


def text(path: bytes) -> str:
    """A path as JSON has it."""
    return path.decode("utf-8", "surrogateescape")


def shown(path: bytes) -> str:
    """A path as a terminal may see it: nothing in it can control one."""
    plain = path.decode("utf-8", "backslashreplace")
    return plain if plain.isprintable() else json.dumps(plain)[1:-1]


def encode(entry: Entry) -> bytes:
    """The line of an entry, with its end."""
    line: dict[str, Any] = {"path": text(entry.path), "type": entry.type}
    if entry.type in ("symlink", "link"):
        line["target"] = text(entry.target)
    if entry.type != "link":
        line["mtime_ns"] = entry.mtime_ns
    if entry.type in ("file", "folder"):
        line["mode"] = f"{entry.mode:04o}"
    if entry.type == "file":
        line |= {"size": entry.size, "sha256": entry.sha256}
        if entry.size > PIECE or entry.pieces != _whole(entry.size, entry.sha256):
            line["pieces"] = [[piece.offset, piece.size, piece.sha256] for piece in entry.pieces]
    if entry.xattrs:
        line["xattrs"] = {name: base64.b64encode(value).decode() for name, value in sorted(entry.xattrs.items())}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _whole(size: int, sha256: str) -> tuple[Piece, ...]:
    return (Piece(0, size, sha256),) if 0 < size <= PIECE else ()


def decode(line: bytes | str) -> Entry:
    """The entry of a line. ArchiveError for anything that `encode` does not write."""
    try:
        return _entry(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        quoted = (line.decode("utf-8", "backslashreplace") if isinstance(line, bytes) else line)[:80]
        reason = str(error) if isinstance(error, _Wrong) else "it is not a line of a manifest"
        raise ArchiveError(f"the manifest has a line that is refused: {reason}: {json.dumps(quoted)}") from None


class _Wrong(ValueError):
    pass


def _entry(line: dict[str, Any]) -> Entry:
    kind = line["type"]
    if kind not in _TYPES:
        raise _Wrong("nothing but folders, files and links can be in a home")
    mode = _mode(line["mode"], 0o1777 if kind == "folder" else 0o777) if kind in ("file", "folder") else 0
    size, sha256 = 0, EMPTY
    pieces: tuple[Piece, ...] = ()
    if kind == "file":
        size, sha256 = _number(line["size"], 0, _LARGEST), _sha256(line["sha256"])
        pieces = _pieces(line["pieces"], size) if "pieces" in line else _whole(size, sha256)
        if "pieces" not in line and size > PIECE:
            raise _Wrong("a long file without its pieces")
    return Entry(
        path=path(line["path"]),
        type=kind,
        mode=mode,
        mtime_ns=_number(line["mtime_ns"], -_FURTHEST, _FURTHEST) if kind != "link" else 0,
        size=size,
        sha256=sha256,
        pieces=pieces,
        target=path(line["target"]) if kind == "link" else _target(line["target"]) if kind == "symlink" else b"",
        xattrs=_xattrs(line.get("xattrs", {})),
    )


def path(value: str) -> bytes:
    """The bytes of a path in JSON. ValueError for one that is not inside the home, or that an import keeps for itself."""
    found = value.encode("utf-8", "surrogateescape")
    names = found.split(b"/")
    if any(name in (b"", b".", b"..") or b"\0" in name or len(name) > _LONGEST_NAME for name in names):
        raise _Wrong("its path is not one inside the home")
    if names[0] == RESERVED:
        raise _Wrong(f"{RESERVED.decode()} is for imports alone")
    return found


def _target(value: str) -> bytes:
    found = value.encode("utf-8", "surrogateescape")
    if not found or b"\0" in found or len(found) > _LONGEST_TARGET:
        raise _Wrong("no symbolic link has that text")
    return found


def _number(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise _Wrong("a number is out of range")
    return value


def _mode(value: str, most: int) -> int:
    if not re.fullmatch(r"[0-7]{4}", value) or int(value, 8) & ~most:
        raise _Wrong("nothing in a home has that mode")
    return int(value, 8)


def _sha256(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise _Wrong("a checksum is none")
    return value


def _pieces(value: list[Any], size: int) -> tuple[Piece, ...]:
    found, end = [], 0
    for offset, length, sha256 in value:
        piece = Piece(_number(offset, end, size), _number(length, 1, PIECE), _sha256(sha256))
        end = piece.offset + piece.size
        found.append(piece)
    if end > size:
        raise _Wrong("its pieces are longer than the file")
    return tuple(found)


def _xattrs(value: dict[str, str]) -> dict[str, bytes]:
    found = {name: base64.b64decode(content, validate=True) for name, content in value.items()}
    if any(not name.startswith("user.") or "\0" in name or len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME for name in found):
        raise _Wrong("an attribute is not one of user.*")
    return found


class Order:
    """Lets pass the entries of a tree, each after its folder and after the names before it, so that none comes twice and none lies below what is no folder."""

    def __init__(self) -> None:
        self._last: tuple[bytes, ...] = ()
        self._folders: list[bytes] = []
        """Names of the folders that the last entry was in, itself one of them if it was a folder."""

    def check(self, entry: Entry) -> None:
        """ArchiveError where the entry may not come next."""
        names = tuple(entry.path.split(b"/"))
        if names <= self._last:
            raise ArchiveError(f"the manifest is refused: {shown(entry.path)} comes twice, or in the wrong place")
        if list(names[:-1]) != self._folders[: len(names) - 1]:
            raise ArchiveError(f"the manifest is refused: {shown(entry.path)} is in no folder of it")
        if entry.type == "link" and tuple(entry.target.split(b"/")) >= names:
            raise ArchiveError(f"the manifest is refused: {shown(entry.path)} is a link to what comes later")
        del self._folders[len(names) - 1 :]
        if entry.type == "folder":
            self._folders.append(names[-1])
        self._last = names


def in_order(entries: Iterable[Entry]) -> Iterable[Entry]:
    """The entries, each checked before it is handed on."""
    order = Order()
    for entry in entries:
        order.check(entry)
        yield entry
