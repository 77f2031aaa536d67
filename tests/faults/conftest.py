"""One person with a lab, a kernel, and something in its memory that no restart may lose."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from elabs.cli.visit import Visit
from tests.live import Live


@dataclass
class Worker:
    """A person in the middle of something."""

    visit: Visit
    kernel: str
    pid: int
    """The lab's first process, on the host."""

    def remembers(self) -> bool:
        """Whether the kernel still has its variable."""
        return self.visit.run(self.kernel, "print(nest)", 30).text.strip() == "three eggs"


@pytest.fixture
def worker(live: Live) -> Iterator[Worker]:
    visit = live.visit("colibri")
    visit.start()
    visit.enter()
    kernel = visit.kernel()
    visit.run(kernel, "nest = 'three eggs'")
    yield Worker(visit, kernel, live.ask(verb="list")["ok"]["labs"] and int((live.state.run / "labs/colibri/pid").read_text()))


def healthy(live: Live) -> bool:
    """Login page, daemon and supervisor all answer."""
    return requests.get(f"{live.base}/hub/login", timeout=10).status_code == 200 and "ok" in live.ask(verb="ping")
