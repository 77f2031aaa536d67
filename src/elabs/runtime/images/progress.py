"""How far a build is, read from what apt, mmdebstrap and pip print: pure functions from lines to a fraction and a text.

Each reader is a class with one method, `read(line)`, which answers `(fraction 0..1 of its own step, text)` or None when the line tells nothing.
"""

import re
from collections.abc import Callable

Report = Callable[[float, str], None]
"""Called with the fraction done (0..1, never falling) and one line that says what is being done."""


class Mmdebstrap:
    """Its announcements, in the order in which they come; the shares are measured."""

    STAGES = {
        "running apt-get update": 0.02,
        "downloading packages": 0.2,
        "extracting archives": 0.5,
        "installing essential packages": 0.6,
        "installing remaining packages": 0.8,
        "cleaning package lists": 0.95,
    }

    def read(self, line: str) -> tuple[float, str] | None:
        """`I: extracting archives...` -> (0.5, "extracting archives")."""
        return next(((share, stage) for stage, share in self.STAGES.items() if line.startswith(f"I: {stage}")), None)


class Apt:
    """apt's own machine-readable status (`APT::Status-Fd`): the first third is downloads, the rest installing."""

    _STATUS = re.compile(r"(?P<kind>dlstatus|pmstatus):(?P<what>[^:]*(?::\w+)?):(?P<percent>[0-9.]+):")

    def read(self, line: str) -> tuple[float, str] | None:
        """`pmstatus:git:50.0:Unpacking git` -> (0.667, "installing git")."""
        found = self._STATUS.match(line)
        if not found:
            return None
        share = min(float(found["percent"]) / 100, 1.0)
        if found["kind"] == "dlstatus":
            return share / 3, "downloading Debian packages"
        return (1 + 2 * share) / 3, f"installing {found['what'].partition(':')[0]}"


class Pip:
    """pip names each package as it fetches it, and then falls silent while it unpacks: `installed` counts what has arrived on disk."""

    _NAME = re.compile(r"[ =<>!~\[]")

    def __init__(self, total: int, installed: Callable[[], int]) -> None:
        self.total = max(total, 1)
        self.installed = installed
        self.fetched = 0

    def read(self, line: str) -> tuple[float, str] | None:
        """`Collecting numpy==2.4` -> (its share of the first half, "downloading numpy")."""
        if line.startswith("Collecting "):
            self.fetched = min(self.fetched + 1, self.total)
            return self._fraction(0), f"downloading {self._NAME.split(line)[1]}"
        return None

    def poll(self) -> tuple[float, str] | None:
        """Asked now and then while pip is silent."""
        count = min(self.installed(), self.total)
        return (self._fraction(count), f"installing Python packages ({count} of {self.total})") if count else None

    def _fraction(self, installed: int) -> float:
        return (self.fetched + installed) / (2 * self.total)


def within(report: Report, start: float, end: float) -> Report:
    """A report for a part: its 0..1 becomes `start`..`end` of the whole."""
    return lambda fraction, text: report(start + (end - start) * min(max(fraction, 0.0), 1.0), text)


def rising(report: Report) -> Report:
    """A report that never goes back, whatever the tools say, and does not repeat itself."""
    last: tuple[float, str] = (-1.0, "")

    def forward(fraction: float, text: str) -> None:
        nonlocal last
        now = (max(fraction, last[0]), text)
        if now != last:
            last = now
            report(*now)

    return forward
