"""Tokens between our own parts, random, made once: root's originals in `<state>/secrets`, and copies that only the program reads that needs them.

No secret is ever an argument of a program, which every account of the machine can read.
"""

import os
import secrets
from pathlib import Path

from elabs.cli.setup.folders import write_private
from elabs.config.given import FOR_THE_HUB, given
from elabs.config.model import Config
from elabs.config.state import State
from elabs.storage.ids import Instance

_TOKENS = ("proxy_token", "status_token")


def ensure(state: State, config: Config, instance: Instance) -> None:
    """The folders of hub and proxy with their copies of tokens, passwords, certificate and key, as they are now. Root only."""
    state.secrets.mkdir(mode=0o700, exist_ok=True)
    for folder, owner in (
        (state.hub, instance.hub_uid),
        (state.hub / "secrets", instance.hub_uid),
        (state.proxy, instance.proxy_uid),
        (state.proxy / "secrets", instance.proxy_uid),
    ):
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, owner, owner)
    for name in _TOKENS:
        if not (state.secrets / name).exists():
            write_private(state.secrets / name, secrets.token_hex(32) + "\n")
        _copy(state.secrets / name, state.hub / "secrets" / name, instance.hub_uid)
    _copy(state.secrets / "proxy_token", state.proxy / "secrets" / "proxy_token", instance.proxy_uid)
    wanted = given(config)
    for name in FOR_THE_HUB:
        _copy(wanted.get(name), state.hub / "secrets" / name, instance.hub_uid)
    for name in ("certificate.pem", "key.pem"):
        _copy(wanted.get(name), state.proxy / name, instance.proxy_uid)


def _copy(source: Path | None, target: Path, owner: int) -> None:
    if source is None:
        target.unlink(missing_ok=True)
    else:
        write_private(target, source.read_text(), owner=owner, mode=0o400)
