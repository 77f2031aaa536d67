"""The two laws of slugs."""

import re

from hypothesis import given
from hypothesis import strategies as st

from elabs.storage.slugs import MAX_LENGTH, SYSTEM_ACCOUNTS, is_slug, slug

VALID = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
STRANGE = [
    "",
    "../../etc",
    "root",
    "a" * 300,
    "Ana",
    "ana ",
    "Ñandú",
    "🦜",
    "a/b",
    "a---b",
    "-a",
    "a-",
    "1a",
    "con.punto",
    "x@y.es",
    "\x00",
    "a\nb",
    "." * 3,
    "\ud800",
]


@given(st.text())
def test_a_slug_is_always_valid(name: str) -> None:
    made = slug(name)
    assert VALID.fullmatch(made)
    assert len(made) <= MAX_LENGTH
    assert made not in SYSTEM_ACCOUNTS
    assert is_slug(made)


@given(st.text(), st.text())
def test_two_names_never_share_a_slug(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


def test_strange_names_keep_both_laws() -> None:
    made = [slug(name) for name in STRANGE]
    assert len(set(made)) == len(STRANGE)
    assert all(is_slug(name) for name in made)


def test_a_made_slug_is_nobody_elses_name() -> None:
    """Somebody who is called what another's slug looks like gets another slug."""
    taken = slug("Ana")
    assert slug(taken) != taken


def test_ordinary_names_stay_readable() -> None:
    assert slug("colibri") == "colibri"
    assert slug("maria-lopez2") == "maria-lopez2"
    assert slug("María López").startswith("mar-a-l-pez---")


def test_paths_are_no_slugs() -> None:
    for text in ("", "..", "a/b", ".a", "a.b", "A", "a" * (MAX_LENGTH + 1)):
        assert not is_slug(text)
