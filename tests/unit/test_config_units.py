"""Durations and sizes: what people write is read, what could be misread is refused, and what is written back means the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elabs.config.units import format_bytes, format_duration, parse_bytes, parse_duration, shown, write_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("10 min", 600),
        ("1h", 3600),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        (0, 0),
        ("0s", 0),
    ],
)
def test_durations(text: object, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", [5, 3600, -1, "5", "", "1H", "1 hour", "h", "1h,30m", "-1h", "1e3s", "٣s", True, False, None, 1.5, [], "1h\n;", "1.5s", "9999999w"]
)
def test_what_is_no_duration_is_refused_in_one_line(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|whole number of seconds|ten years") as refused:
        parse_duration(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4G", 2**32),
        ("4g", 2**32),
        ("4GB", 2**32),
        ("4GiB", 2**32),
        ("512M", 2**29),
        ("1.5 TiB", 3 * 2**39),
        ("100", 100),
        (100, 100),
        ("0", 0),
        ("2k", 2048),
        ("5B", 5),
    ],
)
def test_sizes(text: object, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["4X", "", "G", "-1G", -1, True, None, 1.5, "4 G B", "4iB4", "٣G", "1e3", {}, "9999999T", 2**60])
def test_what_is_no_size_is_refused_in_one_line(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a size|more than 1024T") as refused:
        parse_bytes(text)
    assert "\n" not in str(refused.value)


@given(st.integers(0, 2**50))
def test_a_size_written_back_is_the_same(count: int) -> None:
    assert parse_bytes(write_bytes(count)) == count


@given(st.integers(0, 10 * 365 * 86400))
def test_a_duration_written_back_is_the_same(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_sizes_for_people() -> None:
    assert [format_bytes(count) for count in (0, 1023, 2**30, 2**30 * 3 // 2, 5 * 2**40)] == ["0", "1023", "1G", "1.5G", "5T"]
    assert write_bytes(1500000000) == "1500000000"


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.text()), st.dictionaries(st.text(), st.text())))
def test_a_quoted_value_is_short_and_one_line(value: object) -> None:
    assert len(shown(value)) <= 60
    assert len(shown(value).splitlines()) == 1


def test_quoted_values() -> None:
    assert [shown(value) for value in (0, False, None, "x", [1], {"a": 1}, 1.5)] == ["0", "false", "nothing", "'x'", "a list", "a mapping", "1.5"]
