"""One request to the labs' runtime over its socket, for commands; root only."""

from typing import Any

from elabs.config.state import State
from elabs.runtime import client
from elabs.runtime.protocol import RuntimeRefused


def ask(state: State, verb: str, *, seconds: float = 10.0, **arguments: Any) -> dict[str, Any]:
    """The answer's `ok`. OSError where no daemon answers in time, RuntimeRefused where it says no."""
    return client.ask(state.socket, {"verb": verb, **arguments}, seconds=seconds)


def answers(state: State) -> bool:
    """Whether a daemon answers."""
    try:
        ask(state, "ping", seconds=5.0)
    except (OSError, RuntimeRefused):
        return False
    return True
