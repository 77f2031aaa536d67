"""A home at the other end of a wire -> an archive. Cut off at any point, the same call goes on: only what the packs lack is sent, and all is read back.

Three steps, of which only the second needs the wire: reading what is there and reading back take minutes where there is much, and a connection that nothing
comes over for so long is cut off by whatever is on the way.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from elabs.storage.transfer import archive, packs
from elabs.storage.transfer.manifest import ArchiveError, decode, encode
from elabs.storage.transfer.outcome import Outcome, Progress, Report, ask, why_closed
from elabs.storage.transfer.packs import Packs
from elabs.storage.transfer.wire import Wire, WireClosed


class Export:
    """One export of `home` into `folder`; a context. ArchiveError where the folder is something else, or in use.

    Every step raises ArchiveError, WireClosed or OSError where it was cut off; the next export into the folder goes on.
    """

    def __init__(self, folder: Path, home: str) -> None:
        self._folder = folder
        self._lock = archive.prepare(folder, home)
        self._packs = Packs(folder / "packs")
        self._outcome = Outcome()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._packs.close()
        os.close(self._lock)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """What comes between the steps, such as a pod's start, is not copying."""
        began = time.monotonic()
        yield
        self._outcome.seconds += time.monotonic() - began

    def check(self, report: Report) -> None:
        """Read what is there already."""
        with self._timed():
            progress = Progress(report, sum(self._packs.sizes()), "checking what is there")
            self._packs.recover(progress.more)

    def receive(self, wire: Wire, report: Report) -> None:
        """Get what is missing."""
        try:
            with self._timed():
                wire.send({"verb": "export"})
                hashes = list(self._packs.pieces)
                for start in range(0, len(hashes), 2**15):
                    wire.data(*hashes[start : start + 2**15])
                wire.send({"go": True})
                _, total = ask(wire, "total")
                (self._folder / "manifest.jsonl").unlink(missing_ok=True)
                self._entries(wire, Progress(report, total["bytes"], "copying"))
                wire.send({"heard": True})
                wire.flush()
        except WireClosed:
            raise why_closed(wire) from None

    def _entries(self, wire: Wire, progress: Progress) -> None:
        outcome, ahead = self._outcome, 0
        with open(packs.open_plain(self._folder / "manifest.partial", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb", 2**20) as manifest:
            while True:
                message = wire.receive()
                if isinstance(message, bytes):
                    self._packs.add(message[:32], message[32:])
                    outcome.sent_files += 1
                    outcome.sent_bytes += len(message) - 32
                    ahead += len(message) - 32
                    progress.at(outcome.bytes + ahead)
                elif "entry" in message:
                    entry = decode(message["entry"])
                    manifest.write(encode(entry))
                    outcome.count(entry)
                    ahead = 0
                    progress.at(outcome.bytes)
                elif "end" in message:
                    break
                elif "error" in message:
                    raise ArchiveError(str(message["error"]))
        notes = message["end"]
        outcome.changed, outcome.unreadable, outcome.special = notes["changed"], notes["unreadable"], notes["special"]

    def complete(self, report: Report) -> Outcome:
        """Read back what was written, and make the archive one that is complete."""
        with self._timed():
            progress = Progress(report, self._outcome.sent_bytes, "reading back")
            self._packs.verify(progress.more)
            archive.seal(self._folder, self._packs, self._outcome)
        self._outcome.end(report)
        return self._outcome
