"""What people read in the hub's pages: every sentence, by key, one file a language. `{name}` in a sentence is replaced."""

import json
from functools import cache
from pathlib import Path

from elabs.hub.request import browser_language

_settings = {"language": "auto"}


@cache
def texts(language: str) -> dict[str, str]:
    """All sentences of `es` or `en`."""
    loaded: dict[str, str] = json.loads((Path(__file__).parent / f"{language}.json").read_text(encoding="utf-8"))
    return loaded


def use_language(language: str) -> None:
    """The site's choice: `es`, `en`, or `auto` for what each browser asks for."""
    _settings["language"] = language


def language() -> str:
    """The language of the page that is being made."""
    return browser_language() if _settings["language"] == "auto" else _settings["language"]


def text(key: str, **values: object) -> str:
    """The sentence of that key in the language of the page that is being made. KeyError for a key that there is not."""
    return texts(language())[key].format(**values)


def known(sentence: str) -> str:
    """A sentence of JupyterHub's own, in the page's language where it is one that people meet, else as it is."""
    return texts(language()).get(f"jupyterhub.{sentence}", sentence)


def ago(seconds: float) -> str:
    """`5 minutes ago`, in the page's language."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return text(f"ago.{unit}.one" if count == 1 else f"ago.{unit}", count=count)
    return text("ago.now")
