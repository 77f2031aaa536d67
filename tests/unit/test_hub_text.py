"""What people read: the same keys in every language, the same gaps to fill, and every key that the code and the pages use."""

import re
import string
from pathlib import Path

import pytest

from elabs.hub import pages, text
from elabs.hub.cluster import reasons
from elabs.hub.request import LANGUAGES
from elabs.runtime.protocol import ERRORS, REASONS, STAGES
from tests.unit.test_cluster_reasons import STARTS

HUB = Path(text.__file__).parents[1]


def gaps(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_every_language_has_every_sentence_with_the_same_gaps() -> None:
    first, *others = (text.texts(language) for language in LANGUAGES)
    for other in others:
        assert first.keys() == other.keys()
        assert {key: gaps(first[key]) for key in first} == {key: gaps(other[key]) for key in other}


def test_no_sentence_is_empty_or_forgotten_in_the_other_language() -> None:
    english, spanish = text.texts("en"), text.texts("es")
    assert all(value.strip() for value in (*english.values(), *spanish.values()))
    assert {key for key in english if english[key] == spanish[key]} <= {"error.title"}


def test_every_key_that_is_used_is_there_and_no_other() -> None:
    used = {"name.empty", "name.characters", "name.long", "attempts.wait", "directory.down", "login.not_allowed"}
    for file in [*HUB.rglob("*.py"), *HUB.rglob("*.html")]:
        used |= set(re.findall(r"""\b(?:t|text)\(\s*["']([a-z_.]+)["']""", file.read_text()))
    used |= {f"stage.{stage}" for stage in (*STAGES, "ready")} | {f"refused.{code}" for code in (*ERRORS, "unreachable")}
    used |= {f"ended.{reason}" for reason in REASONS if reason != "asked"} | {f"error.{code}" for code in (400, 403, 404, 429, 500, 503)}
    used |= {f"ago.{unit}{one}" for unit in ("minutes", "hours", "days") for one in ("", ".one")} | {"lang"}
    # of the cluster's own
    stages = {stage.key for stage in (reasons.stage(pod, events) for pod, events in STARTS)}
    used |= {f"stage.{stage}" for stage in stages} | {"refused.memory", "refused.still-elsewhere", "ended.evicted", "ended.node"}
    used |= {f"stage.queue{one}" for one in ("", ".one")} | {f"stage.elsewhere.{homes}" for homes in ("separate", "shared")}
    there = {key for key in text.texts("en") if not key.startswith("jupyterhub.")}
    assert used - there == set()
    assert there - used == set()


def test_sentences_of_jupyterhubs_own_are_those_that_it_says() -> None:
    import jupyterhub

    source = "".join(path.read_text() for path in Path(jupyterhub.__file__).parent.rglob("*.py")) + "Forbidden"
    for key in text.texts("en"):
        if key.startswith("jupyterhub."):
            assert key.removeprefix("jupyterhub.") in source, key


@pytest.fixture
def spanish() -> object:
    text.use_language("es")
    yield
    text.use_language("auto")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "just now"), (59, "just now"), (60, "a minute ago"), (3599, "59 minutes ago"), (3600, "an hour ago"), (2 * 86400, "2 days ago")]
)
def test_how_long_ago(seconds: int, words: str) -> None:
    assert text.ago(seconds) == words


def test_the_sites_language_wins(spanish: None) -> None:
    assert text.text("login.password") == "Contraseña"
    assert text.known("Invalid username or password") == "Usuario o contraseña incorrectos."
    assert text.known("something else") == "something else"


def test_the_end_of_a_lab_in_one_sentence() -> None:
    ended = {"reason": "memory", "detail": {"memory_limit_bytes": 2**31}, "time": 1000.0}
    assert pages.ended_sentence(ended, 1000.0 + 7200) == f"Your last lab ended 2 hours ago: {text.text('ended.memory', limit='2G')}"


@pytest.mark.parametrize("ended", [{}, {"reason": "asked", "detail": {}, "time": 1.0}, {"reason": "timeout", "detail": {}, "time": 1.0}])
def test_an_end_that_was_asked_for_needs_no_word(ended: dict[str, object]) -> None:
    assert pages.ended_sentence(ended, 2.0) == ""


@pytest.mark.parametrize(("code", "key"), [(404, "error.404"), (418, "error.400"), (502, "error.500")])
def test_every_status_has_words(code: int, key: str) -> None:
    assert pages.error_text(code) == text.texts("en")[key]
