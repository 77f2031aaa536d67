"""The instance that a state folder holds, as commands need it: its settings in force, its numbers, and the lock of whoever starts or stops it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from elabs.cli.errors import Problem
from elabs.cli.processes import supervisor, units
from elabs.config.model import Config
from elabs.config.state import State
from elabs.storage.ids import Instance


def need_root(command: str) -> None:
    """Problem for an ordinary user."""
    if os.geteuid() != 0:
        raise Problem(f"elabs {command} needs root; run it as root, or with sudo")


def in_force(state: State) -> Config | None:
    """The settings that `up` put in force; None where it never ran here."""
    try:
        return Config.model_validate_json(state.config.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Problem(f"{state.config} is not what this version of elabs writes; run elabs up again") from error


def of(state: State) -> Instance | None:
    """The instance's numbers; None where `up` never ran here."""
    try:
        return Instance.load(state)
    except FileNotFoundError:
        return None


def runs(state: State) -> bool:
    """Whether something keeps this instance's programs running. An ordinary user cannot ask, and takes the socket's being there for an answer."""
    if os.geteuid() != 0:
        return supervisor.socket(state).exists()
    numbers = of(state)
    return supervisor.running(state) is not None or (numbers is not None and units.active(numbers))


@contextmanager
def alone(state: State) -> Iterator[None]:
    """One `up`, `down` or `service` at a time on a state folder; Problem at once where another is at it."""
    state.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    with open(os.open(state.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(f"another elabs command is starting or stopping the instance in {state.root}; wait until it is done") from None
        yield
