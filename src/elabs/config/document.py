"""YAML text -> plain values, and the line of every key: what a message needs to say where.

The text is composed to YAML's nodes and walked here rather than loaded, since a loader forgets where a value stood, stops at the first key given twice,
and unfolds aliases without end. Plain values only: no tags, no dates; anchors and merge keys (`<<`) work.
"""

import difflib
import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from elabs.config.units import shown

Where = tuple[str | int, ...]
"""A setting's way from the top: keys, and positions in lists."""

MOST_VALUES = 20_000
DEEPEST = 30

_TAG = "tag:yaml.org,2002:"
_SCALARS = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null")}


class Problem(NamedTuple):
    """Something wrong in the text: the line from 1 (None: the file as a whole), the setting, and what to say."""

    line: int | None
    where: Where
    text: str


class Unreadable(Exception):
    """The text is no YAML, or no mapping of plain values."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)


@dataclass
class Document:
    """What a file of settings says."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Where, int] = field(default_factory=dict)
    """Line, from 1, of every key and list item; of a merged one, where it was written."""
    empty: set[Where] = field(default_factory=set)
    """Keys with nothing behind them, which is not the same as a written `null`."""

    def line(self, where: Where) -> int | None:
        """The line of a setting, or of the nearest one around it that is in the text; None where none is."""
        while where:
            if where in self.lines:
                return self.lines[where]
            where = where[:-1]
        return None


def dotted(where: Where) -> str:
    """`("login", "admins", 0)` -> `login.admins[0]`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def near(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be: one that is spelled nearly the same, or the only one that holds it."""
    simple, word = {_simple(name): name for name in known}, _simple(word)
    close = difflib.get_close_matches(word, simple, n=1, cutoff=0.6)
    if not close and len(word) > 3:
        close = [name for name in simple if word in name]
    return simple[close[0]] if len(close) == 1 else None


def _simple(word: str) -> str:
    return word.lower().replace("_", "-")


def parse(text: str) -> Document:
    """Read YAML text; an empty one is an empty mapping. Raises Unreadable with every problem found."""
    try:
        return _read(text)
    except RecursionError:
        raise Unreadable([Problem(None, (), "nested too deeply")]) from None


def _read(text: str) -> Document:
    yaml = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            root = yaml.compose(text)
    except YAMLError as error:
        raise Unreadable([_syntax(error, text)]) from None
    walk = _Walk(yaml)
    if root is None or (root.tag == f"{_TAG}null" and not root.value):
        return walk.document
    if not isinstance(root, MappingNode):
        line = root.start_mark.line + 1
        raise Unreadable([Problem(line, (), "this is not a list of settings; write `name: value`, with a space behind the colon, as in the example")])
    walk.document.data = walk.mapping(root, ())
    if walk.problems:
        raise Unreadable(walk.problems)
    return walk.document


class _Walk:
    """One pass over the nodes of a text, gathering values, lines and problems."""

    def __init__(self, yaml: YAML) -> None:
        self.document = Document()
        self.problems: list[Problem] = []
        self._yaml = yaml
        self._values = 0

    def mapping(self, node: MappingNode, where: Where, found: dict[str, Any] | None = None) -> dict[str, Any]:
        """The values of a mapping; with `found`, those that a merged one adds to keys that are there, since the latter win."""
        found = {} if found is None else found
        before = set(found)
        merged: list[Node] = []
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == f"{_TAG}merge":
                merged += value.value if isinstance(value, SequenceNode) else [value]
            elif not isinstance(key, ScalarNode) or key.tag == f"{_TAG}null" or (name := _whole(key.value)) is None:
                self._problem(line, where, "a key must be a word")
            elif name in before:
                continue
            elif name in found:
                self._problem(line, (*where, name), f"given twice; the first is in line {self.document.lines[(*where, name)]}")
            else:
                found[name] = self._value(value, (*where, name), line)
        for source in merged:
            self._count(source, where)
            if isinstance(source, MappingNode):
                self.mapping(source, where, found)
            else:
                self._problem(source.start_mark.line + 1, where, "<< takes an alias of a mapping, like <<: *name")
        return found

    def _value(self, node: Node, where: Where, line: int) -> Any:
        self.document.lines[where] = line
        self._count(node, where)
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self.mapping(node, where)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._value(item, (*where, index), item.start_mark.line + 1) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node, where, line)
        if isinstance(node, ScalarNode) and node.tag == f"{_TAG}timestamp":
            return node.value
        self._problem(line, where, f"{node.tag} has no meaning here; write a plain value")
        return None

    def _scalar(self, node: ScalarNode, where: Where, line: int) -> Any:
        if node.tag == f"{_TAG}str":
            if (text := _whole(node.value)) is None:
                self._problem(line, where, "holds half a character (\\uD800 to \\uDFFF), which is no text")
            return text
        if node.tag == f"{_TAG}null" and not node.value:
            self.document.empty.add(where)
        try:
            value = self._yaml.constructor.construct_object(node)
            if not isinstance(value, float) or math.isfinite(value):
                return value
        except (ValueError, TypeError, YAMLError):
            pass
        self._problem(line, where, f"{shown(node.value)} cannot be read as {str(node.tag).removeprefix(_TAG)}")
        return None

    def _count(self, node: Node, where: Where) -> None:
        self._values += 1
        if self._values > MOST_VALUES or len(where) > DEEPEST:
            why = f"more than {MOST_VALUES} values once aliases are unfolded" if self._values > MOST_VALUES else f"nested more than {DEEPEST} deep"
            raise Unreadable([Problem(node.start_mark.line + 1, where[:2], why)])

    def _problem(self, line: int, where: Where, text: str) -> None:
        self.problems.append(Problem(line, where, text))


def _whole(text: str) -> str | None:
    """The text with characters that JSON escapes in two halves put together; None where only one half is there."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return None


_WORDS = (
    ("mapping values are not allowed", "a second `: ` in one line, or a line that is indented too far; put a value that holds `: ` in quotes"),
    ("found unexpected end of stream", "the quote that opens here is never closed"),
    ("could not find expected ':'", "a line without `name: value`"),
    ("expected <block end>", "indented differently from the lines above that it belongs with"),
    ("expected ',' or", "a [ or { is not closed"),
    ("but found another document", "`---` starts a second document; one file holds one"),
    ("found undefined alias", "an alias (*name) without its anchor (&name) above"),
    ("that cannot start any token", "a value cannot begin with this character; put it in quotes"),
    ("found unknown escape character", "an unknown \\ in double quotes; use single quotes"),
)


def _syntax(error: YAMLError, text: str) -> Problem:
    if isinstance(error, ReaderError):
        before = text[: error.position] if isinstance(error.position, int) else ""
        return Problem(before.count("\n") + 1, (), "a control character that no YAML file may hold")
    if not isinstance(error, MarkedYAMLError):
        return Problem(None, (), f"not YAML: {' '.join(str(error).split())}")
    problem, mark = error.problem or "", error.problem_mark or error.context_mark
    if any(words in problem for words in ("end of stream", "stream end", "expected ':'")):  # where it began says more than where reading gave up
        mark = error.context_mark or mark
    line = mark.line + 1 if mark else None
    if "'\\t'" in problem and line is not None:
        lines = text.splitlines()
        line = next((number for number in range(line, len(lines) + 1) if re.match(r" *\t", lines[number - 1])), line)
        return Problem(line, (), "a tab; YAML is indented with spaces")
    words = next((words for start, words in _WORDS if start in problem), f"not YAML: {problem}")
    return Problem(line, (), words)
