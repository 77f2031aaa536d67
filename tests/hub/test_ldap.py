"""Login against a real OpenLDAP server: who is who, which groups, whose certificate; and a directory that hangs, which keeps nobody else waiting."""

import asyncio
import contextlib
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config as Traits

from elabs.cli.errors import Problem
from elabs.config.model import Config, Ldap
from elabs.config.state import State
from elabs.hub.login import ldap as module
from elabs.hub.login.guard import DirectoryDown, NotAllowed
from elabs.hub.login.ldap import LdapAuthenticator
from elabs.hub.login.methods import configure
from elabs.hub.roles import ADMINISTRATORS
from elabs.hub.text import texts
from tests.hub.test_pages import words
from tests.hub.world import World
from tests.ldap import BASE, ODD, SEARCHER, Directory

SEARCH = {"search_base": BASE, "search_user": SEARCHER, "search_password_file": "/nowhere/password"}
TEMPLATE = {"bind_template": [f"uid={{username}},ou=nobody,{BASE}", f"uid={{username}},ou=people,{BASE}"], "group_base": f"ou=groups,{BASE}"}
WAYS = [pytest.param(SEARCH, id="search"), pytest.param(TEMPLATE, id="template")]


@pytest.fixture(scope="module")
def directory() -> Iterator[Directory]:
    try:
        made = Directory()
    except (Problem, OSError) as error:
        pytest.skip(str(error))
    with made:
        yield made


def settings(directory: Directory, **changed: Any) -> dict[str, Any]:
    """`login.ldap` for that directory, by StartTLS."""
    return {"server": "localhost", "port": directory.port, "ca": str(directory.ca), "timeout": "20s", **changed}


def made(tmp_path: Path, ldap: dict[str, Any]) -> LdapAuthenticator:
    state = State(tmp_path)
    (state.hub / "secrets").mkdir(parents=True, exist_ok=True)
    (state.hub / "secrets/ldap_password").write_text("searcher-secret\n")
    if ldap["ca"]:
        shutil.copyfile(ldap["ca"], state.hub / "secrets/ldap_ca")
    traits = Traits()
    configure(traits, Config.model_validate({"login": {"ldap": ldap}}), state)
    return LdapAuthenticator(config=traits)


async def log_in(authenticator: LdapAuthenticator, name: str, password: str | None = None) -> Any:
    return await authenticator.authenticate(None, {"username": name, "password": f"{name}-secret" if password is None else password})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("security", ["starttls", "ldaps"])
async def test_a_right_password_enters_and_a_wrong_one_does_not(directory: Directory, tmp_path: Path, way: dict[str, Any], security: str) -> None:
    port = directory.tls_port if security == "ldaps" else directory.port
    authenticator = made(tmp_path, settings(directory, security=security, port=port, **way))
    assert await log_in(authenticator, "colibri") == {"name": "colibri", "groups": ["elabs-users"]}
    for name, password in (
        ("colibri", "wrong"),
        ("colibri", ""),
        ("colibri", " "),
        ("nobody", "x"),
        ("*", "x"),
        ("searcher", "searcher-secret"),
        ("colibri", "zorro-secret"),
    ):
        assert await log_in(authenticator, name, password) is None, (name, password)


@pytest.mark.parametrize("way", WAYS)
async def test_groups_come_along(directory: Directory, tmp_path: Path, way: dict[str, Any]) -> None:
    authenticator = made(tmp_path, settings(directory, admin_group="ELABS-admins", allowed_group="Elabs-Users", **way))
    assert await log_in(authenticator, "lince") == {"name": "lince", "groups": ["Ecology", "elabs-users"]}
    assert await log_in(authenticator, "admin") == {"name": "admin", "groups": ["elabs-admins", "elabs-users", ADMINISTRATORS]}
    with pytest.raises(NotAllowed):
        await log_in(authenticator, "zorro")
    assert await log_in(authenticator, "zorro", "wrong") is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ODD)
async def test_odd_names_are_themselves(directory: Directory, tmp_path: Path, way: dict[str, Any], name: str) -> None:
    authenticator = made(tmp_path, settings(directory, **way))
    assert await log_in(authenticator, name) == {"name": name, "groups": ["elabs-users"]}
    assert await log_in(authenticator, name, "wrong") is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name",
    [
        "*",
        "c*",
        "colibri)(uid=*",
        "*)(objectClass=*",
        "colibri)(&",
        "colibri,ou=people",
        "colibri\\",
        "\\2a",
        "colibri\x00",
        "{username}",
        "{dn}",
        "{0}",
        "",
        " ",
    ],
)
async def test_names_are_no_way_into_a_filter_or_a_dn(directory: Directory, tmp_path: Path, way: dict[str, Any], name: str) -> None:
    assert await log_in(made(tmp_path, settings(directory, **way)), name, "colibri-secret") is None


async def test_the_directory_says_what_somebody_is_called(directory: Directory, tmp_path: Path) -> None:
    by_anything = made(tmp_path, settings(directory, **SEARCH, search_filter="(|(uid={username})(cn={username}))"))
    assert (await log_in(by_anything, "lince.iberico", "lince-secret"))["name"] == "lince.iberico"
    by_name = made(tmp_path, settings(directory, **SEARCH, search_filter="(|(uid=nobody)(cn={username})(mail={username}))"))
    assert by_name.name_attribute == "cn"
    assert (await log_in(by_name, "colibri"))["name"] == "colibri"


async def test_a_name_that_two_entries_have_is_nobody(directory: Directory, tmp_path: Path) -> None:
    everybody = made(tmp_path, settings(directory, **SEARCH, search_filter="(|(uid={username})(uid=zorro))"))
    assert await log_in(everybody, "colibri") is None


@pytest.mark.parametrize("security", ["starttls", "ldaps"])
@pytest.mark.parametrize(
    "wrong", [{"server": "127.0.0.1"}, {"ca": "other"}, {"ca": None}], ids=["another name", "another authority", "the system's authorities"]
)
async def test_a_certificate_that_is_not_right_gets_no_password(directory: Directory, tmp_path: Path, security: str, wrong: dict[str, Any]) -> None:
    wrong = {name: str(directory.other_ca) if value == "other" else value for name, value in wrong.items()}
    port = directory.tls_port if security == "ldaps" else directory.port
    ldap = settings(directory, **TEMPLATE | {"security": security, "port": port} | wrong)
    with pytest.raises(DirectoryDown, match=r"(?i)certificate"):
        await log_in(made(tmp_path, ldap), "colibri")
    assert "certificate" in (module.wrong(Ldap.model_validate(ldap), None) or "").lower()


async def test_a_directory_that_is_down_is_not_a_wrong_password(directory: Directory, tmp_path: Path) -> None:
    ldap = settings(directory, **SEARCH)
    assert module.wrong(Ldap.model_validate(ldap), "searcher-secret") is None
    directory.stop()
    try:
        with pytest.raises(DirectoryDown, match="localhost"):
            await log_in(made(tmp_path, ldap), "colibri")
        said = module.wrong(Ldap.model_validate(ldap), "searcher-secret")
        assert said and "localhost" in said and "\n" not in said
    finally:
        directory.start()
    assert await log_in(made(tmp_path, ldap), "colibri")


async def test_a_search_account_that_is_refused_is_not_everybodys_wrong_password(directory: Directory, tmp_path: Path) -> None:
    authenticator = made(tmp_path, settings(directory, **SEARCH))
    authenticator.lookup_dn_search_password = "wrong"
    with pytest.raises(DirectoryDown, match="searcher"):
        await log_in(authenticator, "colibri")
    assert "search_password_file" in (module.wrong(Ldap.model_validate(settings(directory, **SEARCH)), "wrong") or "")


@pytest.mark.parametrize("changed", [{"search_base": "dc=elsewhere"}, {"group_base": "ou=missing,dc=elabs,dc=test"}])
async def test_settings_that_the_directory_cannot_follow_are_not_a_wrong_password(directory: Directory, tmp_path: Path, changed: dict[str, str]) -> None:
    with pytest.raises(DirectoryDown):
        await log_in(made(tmp_path, settings(directory, **SEARCH | changed)), "colibri")


class Stalled:
    """Accepts connections and says nothing; a context manager."""

    def __enter__(self) -> "Stalled":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.accepted: list[socket.socket] = []
        self.arrived = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.accepted.append(self._listener.accept()[0])
                self.arrived.release()

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for connection in self.accepted:
            connection.close()


@pytest.mark.parametrize("security", ["none", "starttls", "ldaps"])
async def test_a_directory_that_hangs_is_given_up_and_its_thread_ends(tmp_path: Path, security: str) -> None:
    with Stalled() as stalled:
        authenticator = made(tmp_path, {"server": "127.0.0.1", "port": stalled.port, "timeout": "1s", "security": security, "ca": None, **TEMPLATE})
        with pytest.raises(DirectoryDown, match=r"did not answer|timed out|cannot"):
            await log_in(authenticator, "colibri")
        # a thread that still waited would keep the pool from ending
        await asyncio.wait_for(asyncio.to_thread(authenticator._off_loop._pool.shutdown), 60)


@pytest.fixture(scope="module")
def institute(directory: Directory) -> Iterator[World]:
    """A hub with that directory, whose group Ecology has one profile more."""
    with World(
        login={"ldap": settings(directory, **SEARCH, allowed_group="elabs-users", admin_group="elabs-admins")},
        profiles={"default": {"title": "Lab"}, "large": {"title": "Large lab", "description": "For maps", "size": "large", "groups": ["ecology"]}},
    ) as world:
        yield world


def test_people_of_the_directory_work(institute: World) -> None:
    visit = institute.visit("colibri")
    visit.start()
    assert visit.get("/user/colibri/").json()["visitor"] == "colibri"
    visit.stop()
    assert institute.visit("admin").hub("GET", "users").status_code == 200
    assert visit.hub("GET", "users").status_code == 403


def test_a_stranger_and_a_wrong_password_are_told_apart(institute: World) -> None:
    stranger = institute.log_in("zorro", language="es")
    assert stranger.status_code == 403
    assert texts("es")["login.not_allowed"] in words(stranger)
    wrong = institute.log_in("zorro", "wrong", language="es")
    assert texts("es")["jupyterhub.Invalid username or password"] in words(wrong)


def test_groups_select_profiles(institute: World) -> None:
    lince, colibri = institute.visit("lince"), institute.visit("colibri")
    form = lince.get("/hub/spawn")
    assert "Large lab" in form.text and "For maps" in form.text
    answer = lince.session.post(form.url, params={"_xsrf": lince._xsrf("/hub/")}, data={"profile": "large"}, timeout=60)
    assert answer.json()["visitor"] == "lince"
    assert institute.daemon.labs["lince"].lab.profile == "large"
    lince.stop()
    assert colibri.hub("POST", "users/colibri/server", json={"profile": "large"}).status_code == 201
    assert institute.daemon.labs["colibri"].lab.profile == "default"
    colibri.stop()
    assert lince.hub("POST", "users/lince/server", json={"profile": "nothing"}).status_code == 403


def test_while_the_directory_hangs_everybody_else_goes_on(institute: World, directory: Directory) -> None:
    """Not a matter of clocks: whatever others do is done before the login that hangs has its answer."""
    visit = institute.visit("colibri")
    port = directory.port
    directory.stop()
    hanging: list[threading.Thread] = []
    answers: list[int] = []
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(60)
        accepted = []
        for number in range(3):
            thread = threading.Thread(target=lambda number=number: answers.append(institute.log_in(f"person{number}", "x", "es").status_code))
            thread.start()
            hanging.append(thread)
            accepted.append(listener.accept()[0])
        for _ in range(20):
            assert visit.get("/hub/home").status_code == 200
        visit.start()
        assert visit.get("/user/colibri/").status_code == 200
        visit.stop()
        assert answers == [], "the others had to wait for the logins"
        assert all(thread.is_alive() for thread in hanging)
        for connection in accepted:
            connection.close()
        for thread in hanging:
            thread.join(60)
    directory.start()
    assert answers == [503] * 3
    assert institute.log_in("colibri").status_code == 302


def test_a_directory_that_is_down_is_told_in_words_and_costs_no_attempt(institute: World, directory: Directory) -> None:
    directory.stop()
    try:
        for _ in range(7):
            answer = institute.log_in("colibri", language="es")
            assert answer.status_code == 503
            assert texts("es")["directory.down"] in words(answer)
    finally:
        directory.start()
    assert institute.log_in("colibri").status_code == 302
