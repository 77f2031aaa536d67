"""Labs from the hub's side: started, stopped, refused, ended, and whatever their person is called."""

from urllib.parse import quote

import pytest

from elabs.cli.visit import VisitError
from elabs.hub.text import texts
from elabs.runtime.protocol import ENVIRONMENT
from tests.hub.conftest import ODD
from tests.hub.test_pages import words
from tests.hub.world import World, eventually


@pytest.mark.parametrize("name", ODD)
def test_whatever_a_person_is_called_their_lab_is_theirs(world: World, name: str) -> None:
    visit = world.visit(name)
    visit.start()
    page = visit.get(f"/user/{quote(name, safe='@~')}/lab")
    assert page.status_code == 200, page.text[:500]
    assert page.json()["visitor"] == name
    assert world.daemon.labs and any(running.lab.person == name for running in world.daemon.labs.values())
    assert name in words(visit.get("/hub/home"))
    visit.stop()
    eventually(lambda: not any(running.lab.person == name for running in world.daemon.labs.values()), "the lab is gone")


@pytest.mark.parametrize("typed", ["Gato  Rojo", "GATO ROJO", " gato rojo "])
def test_however_it_is_written_it_is_one_person(world: World, typed: str) -> None:
    answer = world.log_in(typed, "gato rojo-secret")
    assert answer.status_code == 302
    names = [user["name"] for user in world.api("GET", "users", world.status_token).json()]
    assert names.count("gato rojo") == 1
    assert typed not in names


def test_a_lab_gets_only_the_closed_list(world: World) -> None:
    visit = world.visit("person5")
    visit.start()
    given = world.daemon.environment("person5")
    assert set(given) <= set(ENVIRONMENT)
    assert given["JUPYTERHUB_SERVICE_PREFIX"] == "/user/person5/"
    visit.stop()


def test_nobody_enters_anothers_lab_nor_reads_its_cookies(world: World) -> None:
    mine, other = world.visit("person5"), world.visit("person6")
    mine.start()
    other.start()
    assert mine.get("/user/person5/").json()["visitor"] == "person5"
    cookies = set(mine.get("/user/person5/x").json()["cookies"])
    assert "jupyterhub-hub-login" not in cookies
    refused = other.get("/user/person5/")
    assert refused.status_code == 403
    assert {cookie.name for cookie in mine.session.cookies if cookie.path == "/user/person5/"} >= {"jupyterhub-user-person5"}
    assert not [cookie for cookie in mine.session.cookies if cookie.name == "jupyterhub-user-person5" and cookie.path != "/user/person5/"]
    admin = world.visit("admin")
    assert admin.get("/user/person5/").status_code == 403, "an administrator entered a lab"
    mine.stop()
    other.stop()


@pytest.mark.parametrize("code", ["no-room", "no-image", "no-home", "failed"])
def test_a_start_that_is_refused_is_told_in_words(world: World, code: str) -> None:
    visit = world.visit("person6", language="es")
    world.daemon.refuse = (code, "a line for the log, with /paths")
    try:
        page = visit.get("/hub/spawn")
        assert page.status_code in (500, 503)
        assert texts("es")[f"refused.{code}"] in words(page)
        assert "/paths" not in page.text
    finally:
        world.daemon.refuse = None
    assert "a line for the log" in world.log("hub")
    visit.start()
    visit.stop()


def test_a_slow_start_shows_its_stages_and_goes_on_by_itself(world: World) -> None:
    visit = world.visit("person6", language="es")
    world.daemon.hold = True
    try:
        page = visit.get("/hub/spawn")
        assert "/hub/spawn-pending/person6" in page.url
        assert texts("es")["pending.redirect"] in words(page)
        assert '<noscript><meta http-equiv="refresh"' in page.text
        seen = []
        for event in visit.progress(30):
            seen.append(event)
            if event["progress"] == 5:
                world.daemon.hold = False
            if event.get("ready"):
                break
    finally:
        world.daemon.hold = False
    assert [event["message"] for event in seen[1:]] == [texts("es")[f"stage.{stage}"] for stage in ("home", "server", "ready")]
    assert visit.get(page.url).url.rstrip("/").endswith("/user/person6")
    visit.stop()


def test_a_slow_start_that_fails_says_why(world: World) -> None:
    visit = world.visit("person6", language="es")
    world.daemon.hold = True
    world.daemon.refuse_after_hold = ("no-room", "full")
    try:
        pending = visit.get("/hub/spawn").url
        for event in visit.progress(30):
            if event["progress"] == 5:
                world.daemon.hold = False
            if event.get("failed"):
                assert event["html_message"] == texts("es")["refused.no-room"]
                break
        assert texts("es")["refused.no-room"] in words(visit.get(pending))
    finally:
        world.daemon.hold, world.daemon.refuse_after_hold = False, None


def test_a_start_can_be_given_up(world: World) -> None:
    visit = world.visit("person7")
    world.daemon.hold = True
    try:
        visit.get("/hub/spawn")
        visit.hub("DELETE", "users/person7/server")
        eventually(lambda: ("hung up", "start") in world.daemon.heard, "the daemon hears it")
    finally:
        world.daemon.hold = False
    eventually(lambda: visit.server() is None, "the hub has no lab")
    assert "person7" not in world.daemon.labs


def test_a_lab_that_dies_is_noticed_at_once(world: World) -> None:
    visit = world.visit("person7")
    visit.start()
    world.daemon.end("person7", "crashed")
    # JupyterHub's own polling comes every 30 s
    eventually(lambda: visit.server() is None, "the end is noticed", 25)


def test_the_daemon_hears_who_stopped_a_lab(world: World) -> None:
    visit, admin = world.visit("person7"), world.visit("admin")

    def last() -> str:
        return [request["reason"] for verb, request in world.daemon.heard if verb == "stop"][-1]

    visit.start()
    visit.stop()
    assert last() == "asked"
    visit.start()
    assert admin.hub("DELETE", "users/person7/server").status_code == 204
    assert last() == "administrator"


def test_a_name_nobody_has_is_no_lab(world: World) -> None:
    visit = world.visit("person7")
    assert visit.get("/user/..%2f..%2fetc/").status_code in (403, 404)
    assert visit.get("/hub/user/nobody/").status_code in (403, 404)
    with pytest.raises(VisitError):
        world.visit("nobody-at-all")
