"""What a move did, how far it is, and what the agent answers: what export and import share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from elabs.config.units import format_bytes
from elabs.storage.transfer.manifest import ArchiveError, Entry
from elabs.storage.transfer.wire import Wire, WireClosed

Report = Callable[[float, str], None]
"""How far (0 to 1), and at what."""


@dataclass
class Outcome:
    """What a move did."""

    files: int = 0
    """Files of the home, each name of one counted."""
    bytes: int = 0
    """Their bytes, holes not counted."""
    sent_files: int = 0
    """Of these, files written now; for an export, pieces."""
    sent_bytes: int = 0
    kept: int = 0
    """Import: files that were there already, with the same content."""
    seconds: float = 0.0
    special: int = 0
    """Export: sockets, pipes and devices, which are left out."""
    no_attributes: int = 0
    """Import: files and folders whose attributes the disk does not take."""
    changed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    """Paths as JSON has them: export, what changed while it was read and what could not be read; import, what is there and is something else."""

    @property
    def complete(self) -> bool:
        """Whether there is nothing to be looked at."""
        return not (self.changed or self.unreadable or self.conflicts)

    def count(self, entry: Entry) -> None:
        """One entry of the home more."""
        if entry.type in ("file", "link"):
            self.files += 1
            self.bytes += entry.stored

    def end(self, report: Report) -> None:
        """Tell a report that all is done."""
        report(1.0, f"{self.files} files, {format_bytes(self.bytes)}")


def ask(wire: Wire, *expected: str) -> tuple[str, Any]:
    """The next answer that is one of `expected`; ArchiveError with what the agent says where it gives up."""
    while True:
        message = wire.receive()
        if isinstance(message, bytes):
            raise ArchiveError("the other end sent what was not asked for")
        if "error" in message:
            raise ArchiveError(str(message["error"]))
        for name in expected:
            if name in message:
                return name, message[name]
        if "alive" not in message:
            raise ArchiveError("the other end sent what was not asked for")


def why_closed(wire: Wire) -> WireClosed | ArchiveError:
    """Why the other end hung up, where it said so."""
    try:
        while True:
            message = wire.receive()
            if isinstance(message, dict) and "error" in message:
                return ArchiveError(str(message["error"]))
    except (WireClosed, OSError):
        return WireClosed("the connection to the home ended; run the same command again, and it goes on where it was")


class Progress:
    """Bytes so far as a share of a report."""

    def __init__(self, report: Report, total: int, what: str) -> None:
        self._report, self._total, self._what = report, total, what
        self._done = 0

    def more(self, count: int) -> None:
        """So many bytes more."""
        self.at(self._done + count)

    def at(self, done: int) -> None:
        """So many bytes in all."""
        self._done = done
        share = min(1.0, done / self._total) if self._total else 0.0
        self._report(share, f"{self._what} {format_bytes(done)} of {format_bytes(self._total)}")
