"""Every setting in force, its value as people write it, and where it came from: a line of the file, or the default.

Shown as the file would be written, so that what is shown can be saved and used. No setting holds a secret, so none can be shown.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elabs.config import tree
from elabs.config.document import Where, dotted
from elabs.config.load import Loaded

DEFAULT = "default"
_PLAIN = re.compile(r"[^\W\d][\w ./@+-]*[\w/@+-]|[^\W\d]|\d+(?:\.\d+)?[a-zA-Z]+(?: \d+[a-z])*", re.UNICODE)
_WORDS = ("true", "false", "null", "~", "")


@dataclass(frozen=True)
class Explained:
    """One setting in force."""

    where: Where
    value: Any
    """As people write it: text, number, list or None."""
    source: str
    """`elabs.yaml:7`, or `default`."""


def explain(loaded: Loaded) -> list[Explained]:
    """Every setting with its value and source, in the model's order."""
    return list(_walk(loaded.config.model_dump(mode="json"), (), tree.root(), loaded))


def _walk(values: dict[str, Any], where: Where, node: tree.Node, loaded: Loaded) -> Iterator[Explained]:
    for name, value in values.items():
        place, child = (*where, name), node.child(name)
        if isinstance(value, dict) and value:
            yield from _walk(value, place, child or tree.Node({"type": "object"}), loaded)
        else:
            line = loaded.document.lines.get(place)
            yield Explained(place, value, DEFAULT if line is None else f"{loaded.name}:{line}")


def as_yaml(settings: list[Explained]) -> Iterator[tuple[str, str]]:
    """Lines of a file that says the same, each with the source of its setting (empty for a line that only opens a section)."""
    open_sections: Where = ()
    for setting in settings:
        sections = setting.where[:-1]
        for depth, section in enumerate(sections):
            if open_sections[: depth + 1] != sections[: depth + 1]:
                yield f"{'  ' * depth}{_text(section)}:", ""
        open_sections = sections
        yield f"{'  ' * len(sections)}{_text(setting.where[-1])}: {_text(setting.value)}", setting.source


def as_json(settings: list[Explained]) -> str:
    """`{"site.name": {"value": "elabs", "source": "default"}, …}`."""
    return json.dumps({dotted(setting.where): {"value": setting.value, "source": setting.source} for setting in settings}, indent=2, ensure_ascii=False)


def _text(value: Any) -> str:
    """A value in YAML's shortest form on one line that reads back as it was."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return "".join(character if character.isprintable() else f"\\U{ord(character):08X}" for character in json.dumps(value, ensure_ascii=False))
