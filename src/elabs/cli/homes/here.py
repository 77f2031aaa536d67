"""The homes of this machine. Where the instance is down, its disk is mounted for the time that a command takes, and nobody starts the instance meanwhile."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from elabs.cli import daemon, instance
from elabs.cli.errors import Problem
from elabs.cli.homes import Row
from elabs.cli.options import Options
from elabs.config.model import Config
from elabs.config.state import State
from elabs.runtime.local.container import Process
from elabs.runtime.protocol import RuntimeRefused
from elabs.storage import homes, ids, pool
from elabs.storage.ids import LAB_ID, Instance
from elabs.storage.slugs import is_slug, slug
from elabs.storage.transfer.process import beside
from elabs.storage.transfer.wire import Wire


class Here:
    """A Place; enter it before anything is asked of it."""

    def __init__(self, options: Options) -> None:
        self._state: State = options.state
        settings, numbers = instance.in_force(self._state), instance.of(self._state)
        if settings is None or numbers is None:
            raise Problem(f"{self._state.root} holds no instance, so there are no homes; elabs up makes one, and --cluster asks a cluster")
        self._settings: Config = settings
        self._numbers: Instance = numbers
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as held:
            if not instance.runs(self._state):
                held.enter_context(instance.alone(self._state))
            if self._state.pool.exists() and not pool.is_mounted(self._state):
                pool.ensure(self._state, self._settings)
                held.callback(pool.close, self._state)
            self._held = held.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def _people(self) -> dict[str, str]:
        return {slug(person): person for person in ids.people(self._numbers)}

    def rows(self) -> list[Row]:
        """The homes there are."""
        people = self._people()
        return [self._row(home, people) for home in homes.every(self._state)]

    def _row(self, home: str, people: dict[str, str]) -> Row:
        used, quota = homes.usage(self._state.homes / home)
        return Row(home, people.get(home), used, quota, self.used_by(home))

    def slug_of(self, name: str) -> str:
        """The slug of the person NAME; a slug that was made of a name, as lists show it, is its own."""
        return name if is_slug(name) and name in self._people() else slug(name)

    def find(self, name: str) -> Row:
        """The home of NAME. Problem where there is none."""
        home = self.slug_of(name)
        if home not in homes.every(self._state):
            raise Problem(f"{name!r} has no home here; elabs home list names those there are")
        return self._row(home, self._people())

    def used_by(self, home: str) -> str | None:
        """The lab, if it is there. Where no daemon answers, labs that outlived it count."""
        try:
            labs = {str(lab["lab"]) for lab in daemon.ask(self._state, "list")["labs"]}
        except (OSError, RuntimeRefused):
            return "the lab" if _outlived(self._state.run / "labs" / home) else None
        return "the lab" if home in labs else None

    @contextmanager
    def reading(self, home: str) -> Iterator[Wire]:
        """An agent that reads as root, since a person may have files that they cannot read themselves."""
        with beside(self._state.homes / home, None) as wire:
            yield wire

    @contextmanager
    def writing(self, name: str) -> Iterator[Wire]:
        """An agent that writes as the person, with the person's quota."""
        home = self.slug_of(name)
        block = ids.claim_person(self._numbers, self._people().get(home, name))
        path = homes.ensure(self._state, home, block, self._settings.storage.home.size)
        with beside(path, block + LAB_ID) as wire:
            yield wire

    def delete(self, row: Row) -> str:
        """Delete a home; the person's numbers stay theirs."""
        homes.delete(self._state, row.home)
        return "its numeric ids are never given again"


def _outlived(folder: Path) -> bool:
    try:
        record = json.loads((folder / "lab.json").read_text())
        return Process(record["pid"], record["started_ticks"]).alive()
    except (OSError, ValueError, KeyError):
        return False
