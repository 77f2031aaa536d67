"""`elabs status`: the labs that run, from the labs' runtime, and since when their people are idle, from the hub with a token that may only look."""

import http.client
import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import click

from elabs.cli import address, daemon, instance
from elabs.cli.errors import Problem
from elabs.cli.options import Options, pass_options
from elabs.config.state import State
from elabs.config.units import format_bytes, format_duration
from elabs.runtime.protocol import HUB_PORT
from elabs.storage.ids import Instance

_SECONDS = 10.0
_PAGE = 200


@dataclass(frozen=True)
class Row:
    """A lab as people see it."""

    person: str
    lab: str
    profile: str
    size: str
    image: str
    state: str
    memory_bytes: int
    memory_limit_bytes: int
    running_seconds: int
    idle_seconds: int | None
    """Since the last activity that the hub knows of; None while it does not answer."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
@pass_options
def status(options: Options, as_json: bool) -> None:
    """Labs: person, profile, size, memory, idle time. Root only; exit status 1 where nothing runs."""
    instance.need_root("status")
    state = options.state
    settings, numbers = instance.in_force(state), instance.of(state)
    if settings is None or numbers is None or not daemon.answers(state):
        if as_json:
            click.echo(json.dumps({"running": False, "labs": []}))
        else:
            click.echo(f"nothing runs in {state.root}; elabs up starts it")
        raise SystemExit(1)
    now = time.time()
    active = _activity(state, numbers)
    labs = daemon.ask(state, "list")["labs"]
    found = [row(lab, active, now) for lab in sorted(labs, key=lambda lab: str(lab["person"]))]
    answers = address.login_answers(settings)
    if as_json:
        click.echo(json.dumps({"running": True, "login": answers, "url": address.url(settings), "labs": [asdict(each) for each in found]}, indent=1))
        return
    click.echo(f"{address.url(settings)}  {'login works' if answers else 'login does not answer: hub and proxy are stopped, elabs up starts them'}")
    _table(found)


def row(lab: dict[str, Any], active: dict[str, float] | None, now: float) -> Row:
    """A lab of the runtime's list, with the hub's activity by person (seconds since the epoch); pure."""
    last = (active or {}).get(lab["person"])
    idle = None if active is None else int(max(0.0, now - max(last or lab["since"], lab["since"])))
    kept = {name: lab[name] for name in ("person", "lab", "profile", "size", "image", "state", "memory_bytes", "memory_limit_bytes")}
    return Row(**kept, running_seconds=int(now - lab["since"]), idle_seconds=idle)


def _activity(state: State, numbers: Instance) -> dict[str, float] | None:
    """Last activity of people with a lab, in seconds since the epoch; None where the hub does not answer."""
    token = (state.secrets / "status_token").read_text().strip()
    connection = http.client.HTTPConnection(numbers.gateway, HUB_PORT, timeout=_SECONDS)
    found: dict[str, float] = {}
    try:
        while True:
            path = f"/hub/api/users?state=active&limit={_PAGE}&offset={len(found)}"
            connection.request("GET", path, headers={"Authorization": f"token {token}", "Accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise Problem(f"the hub refuses to say who is active ({answer.status}); restart it with elabs down --keep-labs and elabs up")
            people = json.loads(body)
            for person in people:
                last = (person.get("servers") or {}).get("", {}).get("last_activity") or person.get("last_activity")
                found[person["name"]] = datetime.fromisoformat(last).timestamp() if last else 0.0
            if len(people) < _PAGE:
                return found
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _table(found: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("Person", "Profile", "Size", "State", "Memory", "Running", "Idle"):
        table.add_column(title, no_wrap=title != "Person", justify="right" if title in ("Memory", "Running", "Idle") else "left")
    for lab in found:
        idle = "?" if lab.idle_seconds is None else format_duration(lab.idle_seconds)
        memory = f"{format_bytes(lab.memory_bytes)} of {format_bytes(lab.memory_limit_bytes)}"
        # a person's name is text, never markup
        table.add_row(*(Text(cell) for cell in (lab.person, lab.profile, lab.size, lab.state, memory, format_duration(lab.running_seconds), idle)))
    Console().print(table if found else "no lab runs")
