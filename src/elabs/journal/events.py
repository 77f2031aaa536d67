"""The journal of labs: one SQLite table, written by the daemon alone, from its one thread. Kept 30 days."""

import json
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEEP_SECONDS = 30 * 86400

_SCHEMA = """
create table if not exists events (time real not null, event text not null, person text not null, lab text not null, reason text, detail text not null);
create index if not exists events_person on events (person, time);
create index if not exists events_time on events (time);
"""


@dataclass(frozen=True)
class Event:
    """Something that happened to a lab: `started`, `ended` or `failed`; `time` in seconds since the epoch, `reason` one of the protocol's REASONS."""

    time: float
    event: str
    person: str
    lab: str
    reason: str | None
    detail: dict[str, Any]


class Journal:
    """Append to and query the events in one file, made 0600."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("pragma journal_mode = wal")
        self._database.executescript(_SCHEMA)
        self._database.execute("delete from events where time < ?", (time.time() - KEEP_SECONDS,))

    def append(self, event: str, person: str, lab: str, reason: str | None = None, **detail: Any) -> None:
        """Write one event, with the time of now."""
        self._database.execute("insert into events values (?, ?, ?, ?, ?, ?)", (time.time(), event, person, lab, reason, json.dumps(detail)))

    def last_end(self, person: str) -> Event | None:
        """How the person's last lab ended, or failed to start."""
        row = self._database.execute("select * from events where person = ? and event in ('ended', 'failed') order by time desc limit 1", (person,)).fetchone()
        return _event(row) if row else None

    def since(self, start: float) -> list[Event]:
        """Every event from `start` (seconds since the epoch) on, oldest first."""
        return [_event(row) for row in self._database.execute("select * from events where time >= ? order by time", (start,))]

    def close(self) -> None:
        """Write all out and close the file."""
        self._database.close()


def _event(row: tuple[Any, ...]) -> Event:
    when, event, person, lab, reason, detail = row
    return Event(when, event, person, lab, reason, json.loads(detail))
