"""The schema as a tree of settings: which there are below which key, what kind of value each takes, and its default as people write it.

Messages, `config show` and the reference are made of this, so that none of them names a setting by hand.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elabs.config.document import Where
from elabs.config.schema import schema

ANY_NAME = "NAME"
"""What stands for a name that people choose, where settings are listed."""

_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "object": "settings"}


@functools.cache
def _whole() -> dict[str, Any]:
    return schema()


@dataclass(frozen=True)
class Node:
    """A setting, or a section of settings, as the schema has it."""

    about: dict[str, Any]
    required: bool = False

    @functools.cached_property
    def plain(self) -> dict[str, Any]:
        """The schema without `null` and references."""
        found = self.about
        if "title" not in found and "anyOf" in found:
            found = next(choice for choice in found["anyOf"] if choice.get("type") != "null")
        if "$ref" in found:
            found = _whole()["$defs"][found["$ref"].removeprefix("#/$defs/")]
        return found

    @property
    def nullable(self) -> bool:
        """Whether nothing is a value of its own here, and means that the setting is not in use."""
        return any(choice.get("type") == "null" for choice in self.about.get("anyOf", ())) and not (self.is_section and not self.plain.get("required"))

    @property
    def is_section(self) -> bool:
        """Whether settings of fixed names are below this one."""
        return "properties" in self.plain

    @property
    def is_map(self) -> bool:
        """Whether sections under names that people choose are below this one."""
        return "$ref" in (self.plain.get("additionalProperties") or {}) if isinstance(self.plain.get("additionalProperties"), dict) else False

    @property
    def children(self) -> dict[str, "Node"]:
        """The settings of a section; what stands under any name in a map."""
        if self.is_section:
            required = self.plain.get("required", ())
            return {name: Node(about, name in required) for name, about in self.plain["properties"].items()}
        return {ANY_NAME: Node(self.plain["additionalProperties"])} if self.is_map else {}

    def child(self, part: str | int) -> "Node | None":
        """The setting below this one under a key or list position; None where there is none of that name."""
        if isinstance(part, int):
            return Node(self.plain["items"]) if "items" in self.plain else None
        return self.children.get(ANY_NAME if self.is_map else part)

    @property
    def kind(self) -> str:
        """What kind of value it takes, in words: `duration`, `number`, `auto, es or en`."""
        plain = self.plain
        if "enum" in plain:
            return " or ".join(filter(None, (", ".join(plain["enum"][:-1]), plain["enum"][-1])))
        if "const" in plain:
            return str(plain["const"])
        if plain.get("type") == "array":
            return f"list: {Node(plain['items']).kind}"
        if self.is_section or "title" not in plain:
            return _KINDS[plain["type"]]
        return str(plain["title"])

    @property
    def meaning(self) -> str:
        """Its documentation."""
        return str(self.about.get("description") or self.plain.get("description") or "")

    @property
    def default(self) -> str | None:
        """The default as people write it in words for the reference; None where the setting must be given or is a section."""
        if "x-default" in self.about:
            return str(self.about["x-default"])
        if self.required or self.is_section or self.is_map:
            return None
        if "default" not in self.about:
            return "none"
        value = self.about["default"]
        if isinstance(value, bool):
            return f"`{str(value).lower()}`"
        if isinstance(value, list):
            return f"`[{', '.join(value)}]`"
        return f"`{value:g}`" if isinstance(value, float) else '`""`' if value == "" else f"`{value}`"


def root() -> Node:
    """The whole file."""
    return Node(_whole())


def at(where: Where) -> Node | None:
    """The setting at a place in the file; None where there is none."""
    node: Node | None = root()
    for part in where:
        node = node.child(part) if node else None
    return node


def settings(node: Node | None = None, where: Where = ()) -> Iterator[tuple[Where, Node]]:
    """Every setting and section with its place, in the model's order; names that people choose are ANY_NAME."""
    for name, child in (node or root()).children.items():
        yield (*where, name), child
        yield from settings(child, (*where, name))
