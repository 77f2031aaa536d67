"""Who owns which numeric ids on this machine: an append-only register that all elabs instances share.

Every instance and every person gets one block of 65536 ids, once, for ever: a block is never given again, so what an old block still owns on some disk
can never become another person's. The blocks lie above those that useradd (up to 600100000) and systemd (up to 1879048191) hand out.
The register is the one thing that elabs keeps outside its state folder, since two instances must not meet. Writers hold a lock on it; a line is whole or
absent.
"""

import fcntl
import ipaddress
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elabs.config.state import State

REGISTER = Path("/etc/elabs/ids.jsonl")
FIRST_ID = 0x70000000
LAST_ID = 0x7FFDFFFF
BLOCK = 65536
LAB_ID = 1000
"""The id, inside a lab, of the person's processes and files."""


class IdsError(Exception):
    """No ids to be had; `str()` is one line."""


@dataclass(frozen=True)
class Instance:
    """What sets one elabs apart from others on the same machine."""

    number: int
    """Position among the instances that are there now, from 0; names its interfaces, table and cgroup."""
    state: str
    block: int
    """First id of the instance's own block."""
    subnet: str
    """Addresses of its labs, a /20."""

    @property
    def hub_uid(self) -> int:
        """User and group id of the hub."""
        return self.block + 1

    @property
    def proxy_uid(self) -> int:
        """User and group id of the proxy."""
        return self.block + 2

    @property
    def dns_uid(self) -> int:
        """User and group id of the labs' DNS forwarder."""
        return self.block + 3

    @property
    def gateway(self) -> str:
        """Where labs find the hub's API (port 8081) and DNS (53)."""
        return str(ipaddress.ip_network(self.subnet)[1])

    @property
    def api(self) -> str:
        """Where the hub finds the proxy's API (port 8001); labs never reach it."""
        return str(ipaddress.ip_network(self.subnet)[2])

    @classmethod
    def load(cls, state: State) -> "Instance":
        """The instance of a state folder; FileNotFoundError where `up` never ran."""
        return cls(**{name: value for name, value in json.loads(state.instance.read_text()).items() if name in cls.__dataclass_fields__})


@contextmanager
def _register(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The register's entries, under its lock; entries appended to the list are written at the end."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        whole = text[: text.rfind("\n") + 1]
        entries = [json.loads(line) for line in whole.splitlines()]
        known = len(entries)
        yield entries
        if len(entries) > known:
            file.seek(len(whole.encode()))
            file.truncate()
            file.writelines(json.dumps(entry) + "\n" for entry in entries[known:])
            file.flush()
            os.fsync(file.fileno())


def _append(entries: list[dict[str, Any]], entry: dict[str, Any]) -> int:
    start = max((int(old["block"]) + BLOCK for old in entries), default=FIRST_ID)
    if start + BLOCK - 1 > LAST_ID:
        raise IdsError(f"all {(LAST_ID + 1 - FIRST_ID) // BLOCK} blocks of ids on this machine are given; see {REGISTER}")
    entries.append({**entry, "block": start})
    return start


def claim_instance(state: State, lab_range: str, register: Path = REGISTER) -> Instance:
    """The instance of `state`, registered the first time; `lab_range` is `labs.network.range`. Root only. IdsError where the range or the ids are used up."""
    with _register(register) as entries:
        taken = set()
        mine: Instance | None = None
        for entry in entries:
            if "person" in entry:
                continue
            try:
                other = Instance.load(State(Path(entry["state"])))
            except (OSError, ValueError, TypeError):
                continue
            if other.block != entry["block"]:
                continue
            if Path(entry["state"]) == state.root:
                mine = other
            else:
                taken.add(other.number)
        network = ipaddress.ip_network(lab_range)
        subnets = list(network.subnets(new_prefix=20)) if network.prefixlen <= 20 else [network]
        number = mine.number if mine else min(set(range(len(taken) + 1)) - taken)
        if number >= len(subnets):
            raise IdsError(f"labs.network.range {lab_range} has room for {len(subnets)} instances of elabs, and all are taken; give a larger one")
        block = mine.block if mine else _append(entries, {"state": str(state.root)})
        instance = Instance(number, str(state.root), block, str(subnets[number]))
        written = json.dumps(
            {**asdict(instance), **{name: getattr(instance, name) for name in ("hub_uid", "proxy_uid", "dns_uid", "gateway", "api")}}, indent=1
        )
        partial = state.instance.with_suffix(".partial")
        partial.write_text(written + "\n")
        os.chmod(partial, 0o644)
        os.replace(partial, state.instance)
    return instance


def claim_person(instance: Instance, person: str, register: Path = REGISTER) -> int:
    """First id of a person's block in this instance, given the first time and the same ever after. IdsError where the ids are used up."""
    with _register(register) as entries:
        for entry in entries:
            if entry.get("instance") == instance.block and entry.get("person") == person:
                return int(entry["block"])
        return _append(entries, {"instance": instance.block, "person": person})


def people(instance: Instance, register: Path = REGISTER) -> dict[str, int]:
    """First id of each person's block in this instance, by person."""
    with _register(register) as entries:
        return {entry["person"]: int(entry["block"]) for entry in entries if entry.get("instance") == instance.block and "person" in entry}
