"""Names of people: which the hub can hold, and that one person has one."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elabs.hub.login.names import LONGEST, normal, wrong
from elabs.runtime.local.server import _person


@pytest.mark.parametrize(
    "name", ["colibri", "gato rojo", "ana@example.org", "100%", "a..b", "..a", "búho🦉", "<b>", "o'neil", 'say"', "a\\b", "a?b#c;d:e&f=g+h", "%2e%2f"]
)
def test_odd_names_may_enter(name: str) -> None:
    assert wrong(normal(name)) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "name.empty"),
        ("   ", "name.empty"),
        ("../../etc", "name.characters"),
        ("a/b", "name.characters"),
        ("a\uff0fb", "name.characters"),
        ("..", "name.characters"),
        ("%2e%2E", "name.characters"),
        ("\uff0e\uff0e", "name.characters"),
        ("a\nb", "name.characters"),
        ("a\x00b", "name.characters"),
        ("a\x7fb", "name.characters"),
        ("a\u200bb", "name.characters"),
        ("a\u202eb", "name.characters"),
        ("x" * (LONGEST + 1), "name.long"),
        ("x" * 300, "name.long"),
        ("🦉" * 20, "name.long"),
    ],
)
def test_names_that_may_not(name: str, why: str) -> None:
    assert wrong(normal(name)) == why


@pytest.mark.parametrize("same", ["LINCE", " lince ", "ＬＩＮＣＥ", "Lince"])
def test_one_person_has_one_name(same: str) -> None:
    assert normal(same) == "lince"


def test_composed_and_spaced_names_are_one() -> None:
    assert normal("bu\u0301ho  de   noche") == normal("búho de noche") == "búho de noche"


@given(st.text())
def test_a_normal_name_stays_as_it_is(text: str) -> None:
    assert normal(normal(text)) == normal(text)


@given(st.text(min_size=1))
def test_what_may_enter_fits_the_database_an_address_and_the_runtime(text: str) -> None:
    name = normal(text)
    if wrong(name) is None:
        assert 1 <= len(f"/user/{quote(name)}/") <= 255
        assert len(f"jupyterhub-user-{quote(name)}") <= 255
        assert _person({"person": name}) == name
