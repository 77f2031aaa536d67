"""A file -> the settings in it, or everything that is wrong with it: one line for each, with file, line and setting."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from elabs.config import tree, wording
from elabs.config.document import Document, Problem, Unreadable, Where, dotted, parse
from elabs.config.files import wrong_authority, wrong_certificate
from elabs.config.model import Config

LARGEST = 256 * 2**10
"""Bytes; a file of settings is never that long, and reading one takes time that grows with it."""


class ConfigError(Exception):
    """Settings that cannot be used. `problems` are lines, each with file, line and setting where there is one; `str()` is those lines."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Loaded:
    """Settings, and where each was written."""

    config: Config
    document: Document
    name: str | None
    """What messages call the file; None: there is none, and every setting has its default."""


def load(path: Path | None) -> Config:
    """The settings in a file, or all defaults without one. ConfigError with every problem found."""
    return read(path).config


def read(path: Path | None) -> Loaded:
    """The settings in a file with the lines they stand in. ConfigError with every problem found."""
    if path is None:
        return Loaded(Config(), Document(), None)
    return _read(path, {"folder": path.absolute().parent})


def from_values(path: Path, files: Path) -> Config:
    """The settings as the chart hands them on: Helm's values, of which `global` is Helm's own. `files` is where the Secret `kubernetes.files` is mounted.

    ConfigError with every problem found.
    """
    return _read(path, {"mounted": files}, theirs=("global",)).config


def _read(path: Path, context: dict[str, Path], theirs: tuple[str, ...] = ()) -> Loaded:
    name = _called(path)
    try:
        document = parse(_text(path, name))
    except Unreadable as error:
        raise ConfigError(*(_say(name, problem) for problem in error.problems)) from None
    for key in theirs:
        document.data.pop(key, None)
    found = _mend_empty(document)
    try:
        config = Config.model_validate(document.data, context=context)
        found += [Problem(document.line(where), where, text) for where, text in _wrong_files(config)]
        if not found:
            return Loaded(config, document, name)
    except ValidationError as error:
        found += [Problem(document.line(where), where, text) for where, text in wording.problems(error.errors(include_url=False))]
    raise ConfigError(*(_say(name, problem) for problem in sorted(found, key=lambda problem: problem.line or 0)))


def check_ownership(path: Path) -> None:
    """Refuse settings that somebody other than root could write, since root's daemon obeys them. ConfigError in one line; for `up`, when it runs as root."""
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{_called(path)}: {error.strerror}") from None
    loose = stat.S_IWOTH | (stat.S_IWGRP if found.st_gid else 0)
    if found.st_uid != 0:
        raise ConfigError(f"{_called(path)}: belongs to uid {found.st_uid}, and root obeys it; mend it with: chown root:root {path}")
    if found.st_mode & loose:
        raise ConfigError(f"{_called(path)}: others than root may write it, and root obeys it; mend it with: chmod go-w {path}")


def _called(path: Path) -> str:
    """The file as messages name it: from where the person stands, if it is below."""
    here = os.path.relpath(path.absolute())
    return str(path.absolute()) if here.startswith("..") else here


def _text(path: Path, name: str) -> str:
    try:
        if not path.is_file():
            raise ConfigError(f"{name}: {'is not a file' if path.exists() else 'there is no such file'}")
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: {(error.strerror or str(error)).lower()}") from None
    if len(raw) > LARGEST:
        raise ConfigError(f"{name}: {len(raw) // 2**10}K is too large for settings; at most {LARGEST // 2**10}K")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}:{raw[: error.start].count(bytes([10])) + 1}: not UTF-8 (byte 0x{raw[error.start]:02x}); save the file as UTF-8") from None


def _mend_empty(document: Document) -> list[Problem]:
    """Take a section with nothing in it as its defaults, and take out any other key without a value, which is a problem: somebody forgot to write it."""
    problems = []

    def mend(data: Any, where: Where) -> None:
        for key, value in list(data.items()) if isinstance(data, dict) else list(enumerate(data))[::-1] if isinstance(data, list) else ():
            place: Where = (*where, key)
            node = tree.at(place)
            if value is not None or node is None:
                mend(value, place)
            elif node.is_section and not node.plain.get("required"):
                data[key] = {}
            elif place in document.empty:
                problems.append(Problem(document.line(place), place, _nothing(node)))
                del data[key]

    mend(document.data, ())
    return problems


def _nothing(node: tree.Node) -> str:
    if node.is_section or node.is_map:
        return "empty; write its settings below it, or remove the line"
    return "no value; write one, or remove the line" + (f" ([] is an empty {node.kind.split(':')[0]})" if node.kind.startswith("list") else "")


def _wrong_files(config: Config) -> Iterator[tuple[Where, str]]:
    """Files that are there, but do not hold what they must."""
    tls, ldap = config.site.tls, config.login.ldap
    if tls and (wrong := wrong_certificate(tls.certificate, tls.key)):
        yield ("site", "tls", wrong[0]), wrong[1]
    if ldap and ldap.ca and (text := wrong_authority(ldap.ca)):
        yield ("login", "ldap", "ca"), text
    if config.kubernetes.ca and (text := wrong_authority(config.kubernetes.ca)):
        yield ("kubernetes", "ca"), text


def _say(name: str, problem: Problem) -> str:
    place = name if problem.line is None else f"{name}:{problem.line}"
    return f"{place}: {dotted(problem.where)}: {problem.text}" if problem.where else f"{place}: {problem.text}"
