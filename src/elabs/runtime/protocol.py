"""What the hub may say to the daemon, and what it hears: one JSON object a line over a unix socket.

A request is `{"verb": ..., ...}`. The answer is any number of `{"progress": {"percent": 0..100, "stage": STAGE}}` and then one of `{"ok": {...}}` or
`{"error": {"code": CODE, "message": one English line}}`. One request a connection; closing it cancels a start that is under way.

| verb | asks | ok |
|---|---|---|
| ping | | `{"version", "labs": number}` |
| start | `person`, `profile`, `environment` | `{"lab", "address", "port"}`, once the lab listens |
| stop | `lab` | `{}`, once it is gone; a lab that is not there is no error |
| wait | `lab` | `{"reason", "detail"}`, once the lab has ended |
| list | | `{"labs": [Lab as a dict, …]}` |
| stats | `lab` | `{"memory_bytes", "memory_limit_bytes", "cpu_seconds", "pids"}` |
| ended | `person` | the person's last end: `{"reason", "detail", "time"}` or `{}` |

The hub says only who, which profile and the environment below. Everything else (ids, mounts, image, limits, network) the daemon derives from root's own
`config.json`.
"""

import re
from dataclasses import dataclass

MAX_LINE = 64 * 1024
LAB_PORT = 8888
HUB_PORT = 8081
PROXY_API_PORT = 8001

STAGES = ("home", "container", "network", "server")
"""Stages of a start, in order, each with a text for people in the hub."""

REASONS = ("asked", "idle", "memory", "crashed", "administrator", "machine")
"""Why a lab ended: somebody asked, it was idle, out of memory, its server ended by itself, an administrator, the machine went down."""

ERRORS = ("bad-request", "bad-person", "no-profile", "no-image", "busy", "no-room", "no-home", "timeout", "failed", "refused")
"""Codes of refusals; the hub has a text for each in every language."""

_URL = r"https?://[A-Za-z0-9.:\[\]-]{1,255}"
_PATH = r"/[^\x00-\x20\"'\\\x7f]{0,1000}"
ENVIRONMENT: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "JUPYTERHUB_API_TOKEN": r"[0-9A-Za-z_-]{16,128}",
        "JUPYTERHUB_CLIENT_ID": r"[^\x00-\x1f]{1,700}",
        "JUPYTERHUB_USER": r"[^\x00-\x1f/]{1,255}",
        "JUPYTERHUB_BASE_URL": _PATH,
        "JUPYTERHUB_SERVICE_PREFIX": _PATH,
        "JUPYTERHUB_OAUTH_CALLBACK_URL": _PATH,
        "JUPYTERHUB_OAUTH_SCOPES": r"[^\x00-\x1f]{0,4000}",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": r"[^\x00-\x1f]{0,4000}",
        "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": r"[^\x00-\x1f]{0,4000}",
        "JUPYTERHUB_HOST": rf"({_URL})?",
        "JUPYTERHUB_PUBLIC_URL": rf"({_URL}{_PATH})?",
        "JUPYTERHUB_PUBLIC_HUB_URL": rf"({_URL}{_PATH})?",
    }.items()
}
"""The closed list of environment values that a hub may give a lab, each with the whole form its value must have."""


@dataclass(frozen=True)
class Lab:
    """A lab as `list` tells it."""

    lab: str
    person: str
    profile: str
    size: str
    image: str
    state: str
    """`starting` or `running`."""
    address: str
    """IPv4 address that the proxy reaches."""
    since: float
    """Seconds since the epoch."""
    memory_bytes: int
    memory_limit_bytes: int


class RuntimeRefused(Exception):
    """The daemon said no: `code` is one of ERRORS, `str()` one line."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
