"""`kill -9` of our own programs while a lab runs: the lab, its kernel and the kernel's variables are there afterwards, once."""

import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import Worker, healthy
from tests.live import Live, eventually


@pytest.mark.parametrize("programs", [("hub",), ("proxy",), ("runtime",), ("hub", "proxy", "runtime")], ids="-".join)
def test_a_killed_program_comes_back_and_labs_never_went(live: Live, worker: Worker, programs: tuple[str, ...]) -> None:
    old = {program: live.kill(program) for program in programs}
    eventually("everything answers again", lambda: healthy(live) and all(live.pid(program) not in (0, old[program]) for program in programs))
    eventually("the kernel answers with its variable", worker.remembers)
    assert int((live.state.run / "labs/colibri/pid").read_text()) == worker.pid
    assert os.path.exists(f"/proc/{worker.pid}")
    assert list(live.labs()) == ["colibri"] or set(live.labs()) <= {"colibri", "lince"}
    again = live.visit("colibri")
    assert again.server() is not None, "the hub forgot the lab"
    worker.visit.stop()
    eventually("the lab is gone", lambda: "colibri" not in live.labs() and not os.path.exists(f"/proc/{worker.pid}"))


@pytest.mark.parametrize("program", ["hub", "runtime"])
@pytest.mark.parametrize("delay", [0.1, 0.6, 2.0])
def test_a_kill_in_the_middle_of_a_start_leaves_one_lab_or_none(live: Live, program: str, delay: float) -> None:
    visit = live.visit("colibri")
    if visit.server() is not None:
        visit.stop()

    def start() -> None:
        try:
            visit.start()
        except Exception:
            pass

    starting = threading.Thread(target=start)
    starting.start()
    time.sleep(delay)
    live.kill(program)
    eventually("everything answers again", lambda: healthy(live))
    starting.join(120)
    again = live.visit("colibri")

    def agree() -> bool:
        server = again.server()
        known = bool(server and server.get("ready"))
        running = live.labs().get("colibri", {}).get("state") == "running"
        return known == running and not (server and server.get("pending"))

    eventually("hub and daemon tell the same of the lab", agree)
    if again.server() is None:
        again.start()
    again.enter()
    assert again.run(again.kernel(), "print(6 * 7)").text.strip() == "42"
    containers = subprocess.run(["runc", "--root", str(live.state.run / "runc"), "list", "-q"], capture_output=True, text=True, check=True).stdout.split()
    assert containers.count("colibri") == 1
    assert set(containers) == set(live.labs())
    again.stop()


def test_a_lab_that_dies_is_noticed_and_the_person_told(live: Live, worker: Worker) -> None:
    begin = time.monotonic()
    os.kill(worker.pid, signal.SIGKILL)
    eventually("the hub knows that the lab is gone", lambda: worker.visit.server() is None, 15)
    assert time.monotonic() - begin < 15
    assert live.ask(verb="ended", person="colibri")["ok"]["reason"] == "crashed"
    worker.visit.session.headers["Accept-Language"] = "en"
    english = worker.visit.get("hub/home").text
    worker.visit.session.headers["Accept-Language"] = "es"
    spanish = worker.visit.get("hub/home").text
    assert english != spanish
    worker.visit.start()
    worker.visit.stop()


def test_a_lab_that_is_back_at_once_answers_at_once(live: Live, worker: Worker) -> None:
    """The proxy still holds connections to the lab that died, and sends none of the new one's requests into them."""
    url, session = f"{worker.visit.lab_url}/api/status", worker.visit.session
    with ThreadPoolExecutor(20) as browser:
        assert {answer.status_code for answer in browser.map(lambda _: session.get(url), range(100))} == {200}
        address = live.labs()["colibri"]["address"]
        os.kill(worker.pid, signal.SIGKILL)
        eventually("the hub knows that the lab is gone", lambda: worker.visit.server() is None, 15)
        worker.visit.start()
        worker.visit.enter()
        assert live.labs()["colibri"]["address"] != address
        assert {answer.status_code for answer in browser.map(lambda _: session.get(url), range(100))} == {200}
    worker.visit.stop()


def test_a_lab_that_ends_while_the_daemon_is_away_is_told_too(live: Live, worker: Worker) -> None:
    os.kill(live.pid("runtime"), signal.SIGSTOP)
    stopped = live.pid("runtime")
    os.kill(worker.pid, signal.SIGKILL)
    os.kill(stopped, signal.SIGKILL)
    eventually("everything answers again", lambda: healthy(live) and live.pid("runtime") != stopped)
    eventually("the lab is not listed", lambda: "colibri" not in live.labs())
    assert live.ask(verb="ended", person="colibri")["ok"]["reason"] == "crashed"
    eventually("the hub knows", lambda: worker.visit.server() is None)
