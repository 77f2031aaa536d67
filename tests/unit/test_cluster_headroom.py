"""How much room there is to be at a time of the week."""

import datetime

import pytest

from elabs.config.kubernetes import Headroom
from elabs.hub.cluster.headroom import is_used, wanted

COURSE = Headroom.model_validate(
    {
        "labs": 2,
        "timezone": "Europe/Madrid",
        "schedule": {
            "course": {"days": ["mon", "wed"], "start": "08:45", "end": "13:00", "labs": 20},
            "night": {"days": ["fri"], "start": "22:00", "end": "02:00", "labs": 5},
            "talk": {"days": ["mon"], "start": "09:00", "end": "10:00", "labs": 7},
        },
    }
)


@pytest.mark.parametrize(
    ("when", "labs"),
    [
        ("2026-11-23T07:44", 2),  # a Monday, 08:44 in Madrid
        ("2026-11-23T07:45", 20),
        ("2026-11-23T08:30", 20),  # the largest of two
        ("2026-11-23T12:00", 2),  # ends with its last minute
        ("2026-11-24T09:00", 2),  # Tuesday
        ("2026-07-20T06:45", 20),  # summer time
        ("2026-11-27T20:59", 2),  # Friday
        ("2026-11-27T21:00", 5),
        ("2026-11-28T00:59", 5),  # Saturday, still the night of Friday
        ("2026-11-28T01:00", 2),
        ("2026-11-27T00:30", 2),  # the night before
    ],
)
def test_the_schedule_follows_the_clock_of_its_place(when: str, labs: int) -> None:
    assert wanted(COURSE, datetime.datetime.fromisoformat(f"{when}+00:00")) == labs


def test_without_any_there_is_nothing_to_do() -> None:
    assert not is_used(Headroom())
    assert is_used(Headroom(labs=1)) and is_used(COURSE)
