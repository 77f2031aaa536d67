"""The journal: what is appended is found, in order, and old events go."""

import stat
from pathlib import Path

import pytest

from elabs.journal import events
from elabs.journal.events import Journal


def test_the_last_end_of_a_person(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    assert journal.last_end("ana") is None
    journal.append("started", "ana", "ana")
    journal.append("ended", "ana", "ana", "idle")
    journal.append("ended", "bea", "bea", "memory", oom_kills=2)
    journal.append("failed", "ana", "ana", "no-room", message="full")
    last = journal.last_end("ana")
    assert last and (last.event, last.reason, last.detail) == ("failed", "no-room", {"message": "full"})
    assert [event.event for event in journal.since(0)] == ["started", "ended", "ended", "failed"]
    journal.close()
    assert Journal(tmp_path / "j").last_end("bea").reason == "memory"  # type: ignore[union-attr]


def test_only_root_reads_it(tmp_path: Path) -> None:
    Journal(tmp_path / "j")
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


def test_old_events_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j")
    with monkeypatch.context() as patch:
        patch.setattr(events.time, "time", lambda: 1000.0)
        journal.append("ended", "ana", "ana", "idle")
    journal.append("ended", "bea", "bea", "idle")
    journal.close()
    assert [event.person for event in Journal(tmp_path / "j").since(0)] == ["bea"]
