"""The hub, the proxy and the daemon are killed; people's labs stay, none is orphaned, and none is there twice."""

from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest
import requests

from elabs.cli.errors import Problem
from tests.hub.world import World, eventually


@pytest.fixture(scope="module")
def frail() -> Iterator[World]:
    try:
        made = World()
    except Problem as error:
        pytest.skip(str(error))
    with made:
        yield made


def restart_hub(world: World) -> None:
    world.kill("hub")
    world.start("hub")
    world.until_ready()


def children(pid: int) -> set[int]:
    """Processes below another one."""
    found = {int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()}
    return found | {below for child in found for below in children(child)}


def running(pid: int) -> bool:
    """Whether a process runs; one that ended and that its new parent, the machine's init, has not yet asked about does not."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "\nState:\tZ" not in status


def test_labs_outlive_a_killed_hub_and_their_tokens_do_not_outlive_them(frail: World) -> None:
    visit = frail.visit("colibri")
    visit.start()
    token = frail.daemon.environment("colibri")["JUPYTERHUB_API_TOKEN"]
    services = children(frail.pid("hub"))
    assert services, "no idle culler runs"
    heard = len(frail.daemon.heard)
    restart_hub(frail)
    assert not [pid for pid in services if running(pid)], "a service outlived its hub"
    server = visit.server()
    assert server and server["ready"]
    assert visit.get("/user/colibri/").json()["visitor"] == "colibri"
    assert frail.api("GET", "user", token).status_code == 200
    assert not [verb for verb, _ in frail.daemon.heard[heard:] if verb in ("start", "stop")]
    eventually(lambda: ("wait", {"verb": "wait", "lab": "colibri"}) in frail.daemon.heard[heard:], "the new hub waits for the lab's end")
    visit.stop()
    assert frail.api("GET", "user", token).status_code == 403, "the token of a lab that ended is still good"


def test_a_hub_killed_in_the_middle_of_a_start_leaves_nothing(frail: World) -> None:
    visit, heard = frail.visit("colibri"), len(frail.daemon.heard)
    frail.daemon.hold = True
    assert "/hub/spawn-pending/" in visit.get("/hub/spawn").url
    frail.kill("hub")
    eventually(lambda: ("hung up", "start") in frail.daemon.heard[heard:], "the daemon hears that the hub is gone")
    frail.daemon.hold = False
    # the daemon was just done, and its answer reached nobody
    frail.daemon.add("colibri")
    frail.start("hub")
    frail.until_ready()
    eventually(lambda: "colibri" not in frail.daemon.labs, "the lab that the hub does not know is stopped")
    assert visit.server() is None
    visit.start()
    assert visit.get("/user/colibri/").json()["visitor"] == "colibri"
    visit.stop()


def test_a_lab_that_ended_while_the_hub_was_away_is_known_to_have(frail: World) -> None:
    visit = frail.visit("colibri")
    visit.start()
    frail.kill("hub")
    frail.daemon.end("colibri", "memory")
    frail.daemon.add("stranger")
    frail.start("hub")
    frail.until_ready()
    eventually(lambda: visit.server() is None, "the end is known")
    assert 'id="last-end"' in visit.get("/hub/home").text
    eventually(lambda: "stranger" not in frail.daemon.labs, "a stranger's lab is stopped")


def test_routes_are_back_after_a_killed_proxy(frail: World) -> None:
    visit = frail.visit("lince")
    visit.start()
    frail.kill("proxy")
    frail.start("proxy")
    frail.until_ready()

    def back() -> bool:
        try:
            page = visit.get("/user/lince/")
            return page.status_code == 200 and page.json().get("visitor") == "lince"
        except (requests.RequestException, ValueError):
            return False

    eventually(back, "the lab is reached again", 120)
    visit.stop()


def test_a_killed_daemon_takes_no_lab_along(frail: World) -> None:
    visit = frail.visit("lince")
    visit.start()
    frail.daemon.down()
    assert visit.get("/hub/home").status_code == 200
    server = visit.server()
    assert server and server["ready"]
    refused = frail.visit("colibri", language="es").hub("POST", "users/colibri/server")
    assert refused.status_code == 503
    frail.daemon.up()
    assert visit.server()
    heard = len(frail.daemon.heard)
    eventually(lambda: any(verb == "wait" for verb, _ in frail.daemon.heard[heard:]), "the hub waits for the lab's end again")
    frail.daemon.end("lince", "crashed")
    eventually(lambda: visit.server() is None, "the end is noticed")


def test_a_stop_waits_for_a_daemon_that_comes_back(frail: World) -> None:
    visit = frail.visit("lince")
    visit.start()
    frail.daemon.down()
    Timer(1.5, frail.daemon.up).start()
    visit.stop()
    assert "lince" not in frail.daemon.labs


def test_without_a_hub_the_proxy_says_so_in_both_languages(frail: World) -> None:
    frail.kill("hub")
    page = requests.get(f"{frail.url}/hub/home", timeout=30)
    assert page.status_code == 503
    assert "Vuelve en unos segundos" in page.content.decode()
    assert "Back in a few seconds" in page.content.decode()
    frail.start("hub")
    frail.until_ready()
