"""Where homes are: on this machine (`here.py`) or in a cluster (`cluster.py`, through `kubectl.py`). Both are a `Place`, and `elabs home` knows no more."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from elabs.storage.transfer.wire import Wire


@dataclass(frozen=True)
class Row:
    """A home as people see it."""

    home: str
    """Its slug."""
    person: str | None
    """None where nothing says whose it is."""
    used_bytes: int | None
    """None where only the volume itself knows."""
    quota_bytes: int | None
    used_by: str | None
    """The lab, or whatever else has it open now."""


class Place(Protocol):
    """What the commands ask of a place; Problem in one line where it cannot be."""

    def rows(self) -> list[Row]:
        """The homes there are."""

    def find(self, name: str) -> Row:
        """The home of the person, or of the slug, NAME. Problem where there is none."""

    def used_by(self, home: str) -> str | None:
        """What has the home open now, None where nothing has."""

    def reading(self, home: str) -> AbstractContextManager[Wire]:
        """An agent that may read the home."""

    def writing(self, name: str) -> AbstractContextManager[Wire]:
        """An agent that may write the home of NAME, made if there is none."""

    def slug_of(self, name: str) -> str:
        """The slug of the home that NAME has, or would have."""

    def delete(self, row: Row) -> str:
        """Delete the home with all that is in it; what is to be said of it."""
