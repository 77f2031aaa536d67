"""Progress where nobody sees a bar: few lines, each with news."""

import io

from elabs.cli.output import PlainProgress


def lines(*reports: tuple[float, float, str]) -> list[str]:
    """What is written for reports of (time in seconds, fraction, text)."""
    now = [0.0]
    stream = io.StringIO()
    report = PlainProgress("Image small", stream, lambda: now[0])
    for when, fraction, text in reports:
        now[0] = when
        report(fraction, text)
    return stream.getvalue().splitlines()


def test_news_are_written_and_the_rest_is_not() -> None:
    assert lines(
        (0, 0.0, "base"), (1, 0.01, "base"), (2, 0.05, "base"), (3, 0.10, "base"), (4, 0.11, "installing a"), (5, 0.12, "installing b"), (6, 1.0, "done")
    ) == [
        "Image small: 0% base",
        "Image small: 10% base",
        "Image small: 11% installing a",
        "Image small: 100% done",
    ]


def test_a_long_silence_is_broken_where_something_is_new() -> None:
    assert lines((0, 0.0, "base"), (20, 0.0, "base"), (21, 0.01, "base"), (22, 0.02, "base"), (37, 0.03, "base")) == [
        "Image small: 0% base",
        "Image small: 1% base",
        "Image small: 3% base",
    ]


def test_nothing_to_do_says_nothing() -> None:
    assert lines((0, 1.0, "done")) == []
