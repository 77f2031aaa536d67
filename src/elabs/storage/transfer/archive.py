"""The folder that an archive is: begun, sealed once it is complete, and found again.

An archive being written has no manifest: `manifest.partial` is begun anew by each export, since the home may have changed; the packs are what is kept.
One export at a time writes to an archive, by a lock on `archive.json`.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elabs.storage.transfer import packs
from elabs.storage.transfer.manifest import ArchiveError, Entry, decode, in_order
from elabs.storage.transfer.outcome import Outcome
from elabs.storage.transfer.packs import Packs

FORMAT = 1


def prepare(folder: Path, home: str) -> int:
    """Make `folder` the archive of `home`, or find that it is; the lock's descriptor. ArchiveError where it is something else, or in use."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder / "archive.json"
    if not about.exists():
        if any(path.name != "archive.partial" for path in folder.iterdir()):
            raise ArchiveError(f"{folder} is not empty, and no archive of a home; name a new folder")
        partial = folder / "archive.partial"
        with open(packs.open_plain(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w", encoding="utf-8") as file:
            file.write(json.dumps({"format": FORMAT, "home": home}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, about)
    lock = packs.open_plain(about, os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (whose := _home_of(folder)) != home:
            raise ArchiveError(f"{folder} is the archive of the home {whose}; name a new folder for that of {home}")
        (folder / "packs").mkdir(mode=0o700, exist_ok=True)
    except BlockingIOError:
        os.close(lock)
        raise ArchiveError(f"another export into {folder} is running") from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _home_of(folder: Path) -> str:
    try:
        with open(packs.open_plain(folder / "archive.json", os.O_RDONLY), encoding="utf-8") as file:
            about = json.loads(file.read(10000))
        if about["format"] != FORMAT:
            raise ArchiveError(f"{folder} was written by another version of elabs; take that one")
        return str(about["home"])
    except FileNotFoundError:
        raise ArchiveError(f"{folder} is no archive of a home") from None
    except (ValueError, KeyError, TypeError):
        raise ArchiveError(f"{folder / 'archive.json'} is damaged, so {folder} is no archive of a home") from None


def seal(folder: Path, there: Packs, outcome: Outcome) -> None:
    """Seal the manifest, as the last thing: its last line has the checksum of all before it, and the sizes of the packs."""
    partial = folder / "manifest.partial"
    digest = hashlib.sha256()
    with open(packs.open_plain(partial, os.O_RDWR), "r+b") as manifest:
        while block := manifest.read(2**20):
            digest.update(block)
        end = {"files": outcome.files, "bytes": outcome.bytes, "packs": there.sizes(), "sha256": digest.hexdigest()}
        manifest.write(json.dumps({"end": end}).encode() + b"\n")
        manifest.flush()
        os.fsync(manifest.fileno())
    os.rename(partial, folder / "manifest.jsonl")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


@dataclass
class Archive:
    """A complete archive, checked but for the bytes of its pieces, which are checked as they are read."""

    folder: Path
    home: str
    id: str
    """SHA-256 of the manifest's entries."""
    files: int
    bytes: int
    packs: Packs

    def entries(self) -> Iterator[Entry]:
        """Its entries, in order."""
        with open(packs.open_plain(self.folder / "manifest.jsonl", os.O_RDONLY), "rb", 2**20) as lines:
            for line in lines:
                if not line.startswith(b'{"end"'):
                    yield decode(line)


def find(folder: Path) -> Archive:
    """The archive in a folder. ArchiveError where it is not complete, or holds what no home can."""
    home = _home_of(folder)
    manifest = folder / "manifest.jsonl"
    if not manifest.exists():
        raise ArchiveError(f"the archive {folder} is not complete: its export was cut off; run that again")
    digest, end = hashlib.sha256(), None
    with open(packs.open_plain(manifest, os.O_RDONLY), "rb", 2**20) as lines:
        for line in lines:
            if end is not None:
                raise ArchiveError(f"{manifest} goes on after its end")
            if line.startswith(b'{"end"') and line.endswith(b"\n"):
                end = _end(manifest, line)
            else:
                digest.update(line)
    if end is None or end["sha256"] != digest.hexdigest():
        raise ArchiveError(f"the archive {folder} is not complete: its manifest is cut off or changed; copy it again")
    there = Packs(folder / "packs")
    if (sizes := there.sizes()) != end["packs"]:
        wrong = next((number for number, size in enumerate(end["packs"], 1) if sizes[number - 1 : number] != [size]), len(end["packs"]) + 1)
        raise ArchiveError(f"the archive {folder} is not complete: packs/{packs.name(wrong)} is missing or has another size; copy it again")
    there.index()
    archive = Archive(folder, home, digest.hexdigest(), end["files"], end["bytes"], there)
    for entry in in_order(archive.entries()):
        for piece in entry.pieces:
            found = there.pieces.get(bytes.fromhex(piece.sha256))
            if found is None or found.size != piece.size:
                raise ArchiveError(f"the archive {folder} is not complete: it lacks content of a file; export the home again")
    return archive


def _end(manifest: Path, line: bytes) -> dict[str, Any]:
    try:
        end: dict[str, Any] = json.loads(line)["end"]
        if {name: type(value) for name, value in end.items()} != {"files": int, "bytes": int, "packs": list, "sha256": str}:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ArchiveError(f"{manifest} is cut off or changed at its end; copy it again") from None
    return end
