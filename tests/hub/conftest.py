"""The hub of most tests: the demo directory, with some people of odd names."""

from collections.abc import Iterator

import pytest

from elabs.cli.errors import Problem
from tests.hub.world import World

ODD = [
    "gato rojo",
    "ana@example.org",
    "100%",
    "%2e%2f",
    "a..b",
    "búho🦉",
    "<b>",
    "o'neil",
    'say"',
    "a\\b",
    "a?b#c;d:e&f=g+h",
    ".hidden",
    "~tilde",
    "a,b",
    "x" * 200,
]


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A running hub; a test leaves no labs behind."""
    try:
        made = World(accounts=[*ODD, *(f"person{number}" for number in range(8))])
    except Problem as error:
        pytest.skip(str(error))
    with made:
        yield made
