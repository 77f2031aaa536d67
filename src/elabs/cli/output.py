"""What a person sees while something takes long: a bar on a terminal, plain lines elsewhere (a log, a pipe, a service)."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Report = Callable[[float, str], None]
"""How far (0 to 1) and at what, in words."""
_SECONDS = 15.0
"""The longest silence between plain lines while there is something new to say."""


def say(line: str) -> None:
    """A line on the way; standard output is for results."""
    print(line, file=sys.stderr, flush=True)


class PlainProgress:
    """A report that writes a line when another kind of work begins (the first word changes) or ten more percent are done, and now and then between."""

    def __init__(self, title: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._title, self._stream, self._clock = title, stream, clock
        self._said: tuple[int, str] | None = None
        self._when = 0.0

    def __call__(self, fraction: float, text: str) -> None:
        """Hear of progress, and write a line where it is worth one."""
        percent = int(fraction * 100)
        last = self._said
        if last is None and percent == 100:
            return  # there was nothing to do
        if last is not None:
            step = percent >= last[0] + 10 or percent == 100 > last[0] or text.split()[:1] != last[1].split()[:1]
            if not step and (self._clock() - self._when < _SECONDS or (percent, text) == last):
                return
        self._said, self._when = (percent, text), self._clock()
        print(f"{self._title}: {percent}% {text}", file=self._stream, flush=True)


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """A report to give to what takes long."""
    if not sys.stderr.isatty():
        yield PlainProgress(title, sys.stderr)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.fields[title]}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0, title=title)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)
