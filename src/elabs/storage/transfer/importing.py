"""An archive -> a home at the other end of a wire. Cut off at any point, the same call goes on: the other end says what the home lacks.

Entries go in batches, each answered before its content goes, so that neither end holds a whole home in memory.
"""

import time
from collections.abc import Iterator

from elabs.storage.transfer.archive import Archive
from elabs.storage.transfer.manifest import Entry, encode
from elabs.storage.transfer.outcome import Outcome, Progress, Report, ask, why_closed
from elabs.storage.transfer.wire import Wire, WireClosed

_BATCH_ENTRIES = 500
_BATCH_BYTES = 64 * 2**20


def give(wire: Wire, archive: Archive, report: Report, *, merge: bool) -> Outcome:
    """Give an archive to the home at the other end of `wire`. ArchiveError, WireClosed or OSError where it was cut off; the next call goes on."""
    began, outcome = time.monotonic(), Outcome()
    progress = Progress(report, archive.bytes, "copying")
    try:
        wire.send({"verb": "import", "archive": archive.id, "merge": merge})
        ask(wire, "resumed")
        for batch in _batches(archive.entries()):
            wire.send({"entries": [encode(entry).decode() for entry in batch]})
            _, wanted = ask(wire, "want")
            for index, first in wanted:
                for piece in batch[index].pieces[first:]:
                    wire.data(archive.packs.read(bytes.fromhex(piece.sha256)))
                    outcome.sent_bytes += piece.size
                    progress.more(piece.size)
            ask(wire, "done")
            for entry in batch:
                outcome.count(entry)
            progress.at(outcome.bytes)
        wire.send({"finish": True})
        _, results = ask(wire, "end")
        wire.send({"heard": True})
        wire.flush()
    except WireClosed:
        raise why_closed(wire) from None
    finally:
        archive.packs.close()
    outcome.sent_files, outcome.kept, outcome.conflicts, outcome.no_attributes = (results[name] for name in ("files", "kept", "conflicts", "no_attributes"))
    outcome.seconds = time.monotonic() - began
    outcome.end(report)
    return outcome


def _batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += entry.stored
        if len(batch) >= _BATCH_ENTRIES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
