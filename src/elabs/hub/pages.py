"""What templates call: sentences, the way a lab ended, whether the page came unencrypted. Put into JupyterHub's template environments by `elabs.hub.app`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from elabs.config.model import Config
from elabs.config.units import format_bytes, format_duration
from elabs.hub.request import current
from elabs.hub.text import ago, known, language, text, texts
from elabs.runtime.protocol import RuntimeRefused

TEMPLATES = Path(__file__).parent / "templates"
_SECONDS = 1.0
"""How long a page waits for the daemon's word on a lab's end."""


def names(config: Config, ended: Callable[[str], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Names for templates, beside JupyterHub's own. `ended` tells how a person's last lab ended: OSError or RuntimeRefused where it cannot."""

    async def last_end(person: str) -> str:
        """One sentence on why the person's last lab ended; empty where they asked for it, or nobody can say."""
        try:
            found = await asyncio.wait_for(ended(person), _SECONDS)
        except (OSError, RuntimeRefused):
            return ""
        return ended_sentence(found, time.time())

    return {
        "t": text,
        "known": known,
        "language": language,
        "site": config.site.name,
        "idle_after": format_duration(config.labs.idle.after) if config.labs.idle.after else "",
        "insecure": insecure,
        "error_text": error_text,
        "last_end": last_end,
    }


def ended_sentence(ended: dict[str, Any], now: float) -> str:
    """`ended` as the daemon tells it, for a person; empty for an end that needs no word."""
    key = f"ended.{ended.get('reason')}"
    if key not in texts(language()):
        return ""
    limit = (ended.get("detail") or {}).get("memory_limit_bytes", 0)
    return f"{text('ended.title', when=ago(now - ended['time']))} {text(key, limit=format_bytes(int(limit)))}"


def error_text(code: int) -> str:
    """What an HTTP status means for a person."""
    key = f"error.{code}"
    return text(key if key in texts(language()) else "error.500" if code >= 500 else "error.400")


def insecure() -> bool:
    """Whether the browser asked without encryption over a network."""
    request = current()
    if request is None:
        return False
    protocol = request.headers.get("X-Forwarded-Proto", request.protocol).split(",")[0].strip()
    host = request.host.rsplit(":", 1)[0].strip("[]").lower()
    return protocol != "https" and host not in ("localhost", "127.0.0.1", "::1")
