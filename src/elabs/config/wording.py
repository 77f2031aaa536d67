"""What pydantic found wrong -> one line that says what, and what to do. pydantic speaks to programmers; this speaks to whoever writes `elabs.yaml`."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import ErrorDetails

from elabs.config import tree
from elabs.config.document import Where, dotted, near
from elabs.config.units import format_duration, shown, write_bytes

_QUIET = "default_factory_not_called"


def problems(errors: list[ErrorDetails]) -> Iterator[tuple[Where, str]]:
    """Place and text of every error that a person can act on."""
    for error in errors:
        where, context = error["loc"], error.get("ctx", {})
        if "problems" in context:
            for name, text in context["problems"]:
                yield (*where, *_parts(name)), text
        elif error["type"] != _QUIET:
            yield (where[:-1] if where[-1:] == ("[key]",) else where), _text(error, where, context)


def _parts(name: str) -> Where:
    return tuple(int(part) if part.isdigit() else part for part in name.split(".") if part)


def _text(error: ErrorDetails, where: Where, context: dict[str, Any]) -> str:
    kind, value, node = error["type"], error["input"], tree.at(where)
    if kind == "extra_forbidden":
        return unknown(where)
    if kind == "missing":
        return f"missing: {_lower(node.meaning)}" if node else "missing"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error" and where == ("version",):
        return f"{shown(value)} is not known; this elabs reads version {context['expected']}"
    if kind == "literal_error" and node:
        close = near(value, node.plain.get("enum", ())) if isinstance(value, str) else None
        return f"{shown(value)} is not one of {node.kind.replace(' or ', ', ')}" + (f"; did you mean {close}?" if close else "")
    if kind.startswith(("model_", "dict_")):
        return f"{shown(value)} is no section; write its settings below it, indented"
    if kind == "string_type" and isinstance(value, int | float):
        return f'{shown(value)} is not text; put it in quotes: "{value}"'
    if kind in _TYPES:
        return f"{shown(value)} is not {_TYPES[kind]}"
    if kind in _LIMITS:
        words, name = _LIMITS[kind]
        limit, what = context[name], node.kind if node else ""
        if what == "size in bytes":
            return words.format(write_bytes(value), write_bytes(limit))
        return words.format(shown(value), format_duration(limit) if what == "duration" else limit)
    return f"{shown(value)}: {_lower(error['msg'])}"


_TYPES = {
    "string_type": "text",
    "list_type": "a list; write [one, two], or each item in a line of its own behind a -",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
}

_LIMITS = {
    "greater_than_equal": ("{} is too small; at least {}", "ge"),
    "less_than_equal": ("{} is too large; at most {}", "le"),
    "string_too_short": ("{} is too short; at least {} character", "min_length"),
    "string_too_long": ("{} is too long; at most {} characters", "max_length"),
}


def unknown(where: Where) -> str:
    """What to say of a key that no setting has: the nearest one at its place, one of that name elsewhere, or those that there are."""
    section, key = tree.at(where[:-1]), str(where[-1])
    known = list(section.children) if section else []
    elsewhere = [place for place, node in tree.settings() if place[-1] == key]
    if len(elsewhere) == 1:
        return f"unknown key here; did you mean {dotted(elsewhere[0])}?"
    if close := near(key, known):
        return f"unknown key; did you mean {close}?"
    nearest = near(key, {str(place[-1]) for place, _ in tree.settings()})
    found = [place for place, _ in tree.settings() if place[-1] == nearest]
    if len(found) == 1:
        return f"unknown key; did you mean {dotted(found[0])}?"
    return f"unknown key; known here: {', '.join(known)}"


def _lower(text: str) -> str:
    """One sentence without its capital and full stop, to stand behind a colon."""
    first = text.split(". ")[0].rstrip(".")
    return first if first[:2].isupper() else first[:1].lower() + first[1:]
