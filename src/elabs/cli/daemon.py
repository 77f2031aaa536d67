"""One request to the labs' runtime over its socket, for commands; root only."""

import json
import socket
from typing import Any

from elabs.config.state import State
from elabs.runtime.protocol import RuntimeRefused


def ask(state: State, verb: str, *, seconds: float = 10.0, **arguments: Any) -> dict[str, Any]:
    """The answer's `ok`. OSError where no daemon answers in time, RuntimeRefused where it says no."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(str(state.socket))
        connection.sendall(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
        with connection.makefile("rb") as lines:
            for line in lines:
                answer = json.loads(line)
                if "error" in answer:
                    raise RuntimeRefused(answer["error"]["code"], answer["error"]["message"])
                if "ok" in answer:
                    ok: dict[str, Any] = answer["ok"]
                    return ok
    raise ConnectionError("the labs' runtime hung up")


def answers(state: State) -> bool:
    """Whether a daemon answers."""
    try:
        ask(state, "ping", seconds=5.0)
    except (OSError, RuntimeRefused):
        return False
    return True
