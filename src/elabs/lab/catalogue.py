"""The catalogue of apps: web programs with a button in the launcher. One folder of `apps/` each, with `app.json` and `icon.svg`; no code.

| key in app.json | what it says |
|---|---|
| `title` | name below the icon |
| `program` | file that must be in the image; without it the app is left out |
| `command` | words of the command line; it must listen on `{port}` of 127.0.0.1 and stop cleanly at SIGTERM |
| `environment` | variables added to its environment (optional) |
| `folders` | folders made in the home before the lab starts, where the app keeps its files (optional) |
| `memory` | `share` of the lab's memory, and `at_most`, that make up `{memory_mb}` (optional) |
| `timeout_seconds` | how long it may take until it answers HTTP (optional, 30) |

In `command` and `environment`, `{port}`, `{base_url}`, `{home}` and `{memory_mb}` are replaced; a brace that is not meant so is doubled.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from elabs.lab.output import say

CATALOGUE = Path(__file__).parent / "apps"

_UNITS = {"M": 2**20, "G": 2**30}
_KEYS = {"title", "program", "command", "environment", "folders", "memory", "timeout_seconds"}


class AppError(Exception):
    """An app cannot be offered: one line."""


def servers(wanted: Iterable[str], home: Path, memory: int, root: Path = Path("/"), catalogue: Path = CATALOGUE) -> dict[str, dict[str, Any]]:
    """jupyter-server-proxy's `ServerProxy.servers` for the apps `wanted`, in a lab of `memory` bytes (0: unlimited).

    Those that cannot be offered are named in the log.
    """
    found = {}
    for name in wanted:
        try:
            app = load(name, catalogue)
            if not (root / app["program"].lstrip("/")).exists():
                raise AppError("it is not in this image")
            found[name] = server(app, home, memory)
            for folder in app.get("folders", []):
                _make(home / folder, name)
        except AppError as error:
            say(f"app {name}: {error}")
    return found


def load(name: str, catalogue: Path = CATALOGUE) -> dict[str, Any]:
    """One app's data. AppError where it is not in the catalogue or says something unknown."""
    if not re.fullmatch(r"[a-z0-9-]+", name) or not (catalogue / name / "app.json").is_file():
        raise AppError("it is not in the catalogue")
    app: dict[str, Any] = json.loads((catalogue / name / "app.json").read_text())
    if unknown := sorted(app.keys() - _KEYS):
        raise AppError(f"app.json has unknown keys: {', '.join(unknown)}")
    if missing := sorted({"title", "program", "command"} - app.keys()):
        raise AppError(f"app.json lacks {', '.join(missing)}")
    return app


def server(app: Mapping[str, Any], home: Path, memory: int) -> dict[str, Any]:
    """One entry of `ServerProxy.servers`; pure."""
    known = {"home": str(home), "memory_mb": str(_memory(app.get("memory", {}), memory) // 2**20)}
    return {
        "command": [_fill(word, known) for word in app["command"]],
        "environment": {key: _fill(value, known) for key, value in app.get("environment", {}).items()},
        "timeout": float(app.get("timeout_seconds", 30)),
        # our own button has an icon whatever language the person reads: see labextensions/
        "launcher_entry": {"enabled": False, "title": app["title"]},
    }


def buttons(servers: Mapping[str, Mapping[str, Any]], catalogue: Path = CATALOGUE) -> list[dict[str, str]]:
    """What the launcher shows of the apps in `servers`: name, title, and the text of an SVG."""
    return [
        {"name": name, "title": entry["launcher_entry"]["title"], "icon": (catalogue / name / "icon.svg").read_text(encoding="utf-8")}
        for name, entry in servers.items()
    ]


def _fill(text: str, known: Mapping[str, str]) -> str:
    """Replace what we know; what jupyter-server-proxy knows (`{port}`, `{base_url}`) is left for it, and so are doubled braces."""
    return re.sub(r"(?<!\{)\{(home|memory_mb)\}(?!\})", lambda found: known[found[1]].replace("{", "{{").replace("}", "}}"), text)


def _memory(rule: Mapping[str, Any], limit: int) -> int:
    at_most = rule.get("at_most", "1G")
    ceiling = int(at_most[:-1]) * _UNITS[at_most[-1]]
    return min(ceiling, int(limit * float(rule.get("share", 0.5)))) if limit else ceiling


def _make(folder: Path, name: str) -> None:
    """A full home is no reason to take an app away: it may have room again when the app is opened."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        say(f"app {name}: {folder} cannot be made: {error.strerror}")
