"""The demo directory: two people and an administrator with random passwords, in a file that only root reads; the hub gets hashes."""

import json
import secrets
from dataclasses import dataclass

from elabs.cli.setup.folders import write_private
from elabs.config.state import State
from elabs.storage.ids import Instance

NAMES = {"colibri": False, "lince": False, "admin": True}
"""Each account, and whether it administrates."""
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike."""


@dataclass(frozen=True)
class Account:
    """One line of the file."""

    name: str
    password: str


def ensure(state: State, instance: Instance) -> None:
    """The accounts, with passwords made once, and the hub's copy of their hashes. Root only."""
    if not state.demo_accounts.exists():
        lines = [f"{name}\t{_password()}\n" for name in NAMES]
        write_private(state.demo_accounts, "".join(lines))
    hashes = state.hub / "demo.json"
    if not hashes.exists() or hashes.stat().st_mtime < state.demo_accounts.stat().st_mtime:
        from elabs.hub.login.demo import hash_password  # brings JupyterHub along, which takes a while

        table = {account.name: {"hash": hash_password(account.password), "admin": NAMES.get(account.name, False)} for account in read(state)}
        write_private(hashes, json.dumps(table), owner=instance.hub_uid, mode=0o400)


def read(state: State) -> list[Account]:
    """The accounts with their passwords. Root only; FileNotFoundError where there are none."""
    lines = (line.split("\t") for line in state.demo_accounts.read_text().splitlines() if line)
    return [Account(name, password) for name, password in lines]


def _password() -> str:
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))
