"""What people see, from the real hub through the real proxy."""

import html
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from elabs.hub.text import texts
from tests.hub.world import World, eventually


def words(answer: requests.Response) -> str:
    """The text of a page, without marks."""
    page = re.sub(r"<(script|style)[^>]*>.*?</\1>|<[^>]+>", " ", source(answer), flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", page))


def source(answer: requests.Response) -> str:
    """The page, in the encoding that it names in its head."""
    return answer.content.decode()


@pytest.mark.parametrize(("accepted", "language"), [("es-ES,es;q=0.9,en;q=0.5", "es"), ("en-GB", "en"), ("fr", "en"), ("", "en")])
def test_the_login_page_speaks_the_browsers_language(world: World, accepted: str, language: str) -> None:
    page = source(requests.get(f"{world.url}/hub/login", headers={"Accept-Language": accepted}, timeout=30))
    assert f'<html lang="{language}">' in page
    assert texts(language)["login.password"] in page
    assert texts(language)["login.button"] in page
    other = "en" if language == "es" else "es"
    assert texts(other)["login.password"] not in page


def test_two_languages_at_once_do_not_mix(world: World) -> None:
    def ask(language: str) -> bool:
        page = source(requests.get(f"{world.url}/hub/login", headers={"Accept-Language": language}, timeout=30))
        return f'<html lang="{language}">' in page and texts(language)["login.button"] in page

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, ["es", "en"] * 20))


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_wrong_password_is_told_in_words(world: World, language: str) -> None:
    answer = world.log_in(f"nobody-{language}", "wrong", language)
    assert answer.status_code == 403
    assert texts(language)["jupyterhub.Invalid username or password"] in words(answer)
    assert "Invalid username" not in answer.text


@pytest.mark.parametrize(
    ("name", "key"), [("", "name.empty"), ("../../etc", "name.characters"), ("a\u200bb", "name.characters"), ("x" * 300, "name.long"), ("🦉" * 50, "name.long")]
)
def test_a_name_that_cannot_be_is_told_in_words(world: World, name: str, key: str) -> None:
    answer = world.log_in(name, "whatever", "es")
    assert answer.status_code == 400
    assert texts("es")[key] in words(answer)


def test_root_is_nobody_here(world: World) -> None:
    assert world.log_in("root", "root").status_code == 403


def test_a_form_without_its_fields_is_no_crash(world: World) -> None:
    session = requests.Session()
    session.get(f"{world.url}/hub/login", headers={"Sec-Fetch-Mode": "navigate"}, timeout=30)
    answer = session.post(f"{world.url}/hub/login", data={"_xsrf": session.cookies["_xsrf"]}, headers={"Sec-Fetch-Mode": "navigate"}, timeout=30)
    assert answer.status_code == 400


def test_an_old_form_is_told_in_words(world: World) -> None:
    answer = requests.post(
        f"{world.url}/hub/login", data={"username": "lince", "password": "lince-secret", "_xsrf": "old"},
        headers={"Accept-Language": "es", "Sec-Fetch-Mode": "navigate"}, timeout=30,
    )  # fmt: skip
    assert answer.status_code == 403
    assert texts("es")["jupyterhub.Login form invalid or expired. Try again."] in words(answer)


def test_too_many_failures_wait_and_no_header_of_the_browsers_helps(world: World) -> None:
    for number in range(5):
        assert world.log_in("guessed", f"guess{number}").status_code == 403
    for headers in ({}, {"X-Forwarded-For": "203.0.113.9"}, {"X-Real-IP": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"}):
        answer = world.log_in("  GUESSED ", "guess", "es", **headers)
        assert answer.status_code == 429
        wait = answer.headers["Retry-After"]
        assert 0 < int(wait) <= 300
        assert texts("es")["attempts.wait"].format(seconds=wait) in words(answer)


def test_a_right_password_after_some_wrong_ones_enters_and_counts_anew(world: World) -> None:
    for _ in range(3):
        for _ in range(4):
            assert world.log_in("person0", "wrong").status_code == 403
        assert world.log_in("person0").status_code == 302


def test_after_login_people_are_at_home_and_in_their_lab_once_it_runs(world: World) -> None:
    visit = world.visit("person1", language="es")
    home = visit.get("/")
    assert home.url.endswith("/hub/home")
    assert texts("es")["home.stopped"] in words(home)
    assert texts("es")["home.start"] in words(home)
    assert "Server" not in words(home), "a sentence of JupyterHub's own"
    visit.start()
    assert texts("es")["home.running"] in words(visit.get("/hub/home"))
    assert visit.get("/").url.rstrip("/").endswith("/user/person1")
    visit.stop()


@pytest.mark.parametrize(("reason", "detail"), [("memory", "2G"), ("crashed", ""), ("idle", ""), ("machine", "")])
def test_why_the_last_lab_ended_is_read_at_the_next_visit(world: World, reason: str, detail: str) -> None:
    visit = world.visit("person2", language="es")
    visit.start()
    world.daemon.end("person2", reason)
    eventually(lambda: visit.server() is None, "the end is noticed")
    sentence = texts("es")[f"ended.{reason}"].format(limit="2G")
    for page in ("/hub/home", "/hub/user/person2/"):
        found = words(visit.get(page))
        assert sentence in found
        assert detail in found
    assert texts("en")[f"ended.{reason}"].format(limit="2G") in words(world.visit("person2").get("/hub/home"))


def test_a_stop_that_was_asked_for_is_not_explained(world: World) -> None:
    visit = world.visit("person3")
    visit.start()
    visit.stop()
    assert 'id="last-end"' not in visit.get("/hub/home").text


@pytest.mark.parametrize(("path", "status"), [("/hub/nothing", 404), ("/hub/admin", 403)])
def test_error_pages_are_in_the_persons_language(world: World, path: str, status: int) -> None:
    page = world.visit("person3", language="es").get(path)
    assert page.status_code == status
    assert texts("es")[f"error.{status}"] in words(page)


def test_pages_of_jupyterhubs_own_fit_into_the_frame(world: World) -> None:
    admin = world.visit("admin", language="es")
    for path in ("/hub/token", "/hub/admin"):
        page = admin.get(path)
        assert page.status_code == 200
        assert texts("es")["nav.admin"] in source(page)
    assert texts("es")["nav.admin"] not in source(world.visit("person3", language="es").get("/hub/home"))


def test_the_hubs_cookies_stay_at_the_hub(world: World) -> None:
    visit = world.visit("person4")
    cookies = {cookie.name: cookie for cookie in visit.session.cookies}
    login = cookies["jupyterhub-hub-login"]
    assert login.path == "/hub/"
    assert "HttpOnly" in login._rest
    assert login._rest["SameSite"] == "Lax"
    assert not login.secure
    assert cookies["_xsrf"].path == "/hub/"


def test_cookies_are_for_https_alone_where_the_site_is(world: World) -> None:
    session = requests.Session()
    session.headers.update({"X-Forwarded-Proto": "https", "Sec-Fetch-Mode": "navigate"})
    page = session.get(f"{world.hub_url}/login", timeout=30)
    form = {"username": "person4", "password": "person4-secret", "_xsrf": page.cookies["_xsrf"]}
    answer = session.post(f"{world.hub_url}/login", data=form, cookies=page.cookies, timeout=30, allow_redirects=False)
    assert answer.status_code == 302
    assert {cookie.name for cookie in answer.cookies if cookie.secure} >= {"jupyterhub-hub-login", "jupyterhub-session-id"}


def test_nobody_frames_the_hub(world: World) -> None:
    headers = requests.get(f"{world.url}/hub/login", timeout=30).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_nobody_is_sent_elsewhere_after_login(world: World) -> None:
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "///evil.example"):
        session = requests.Session()
        session.headers["Sec-Fetch-Mode"] = "navigate"
        session.get(f"{world.url}/hub/login", timeout=30)
        form = {"username": "person4", "password": "person4-secret", "_xsrf": session.cookies["_xsrf"]}
        answer = session.post(f"{world.url}/hub/login", params={"next": target}, data=form, timeout=30, allow_redirects=False)
        assert answer.status_code == 302
        assert not re.match(r"(https?:)?[/\\]{2}", answer.headers["Location"]), answer.headers["Location"]


def test_a_password_over_an_open_network_is_warned_of(world: World) -> None:
    page = source(requests.get(f"{world.url}/hub/login", headers={"Host": "lab.example.org"}, timeout=30))
    assert texts("en")["login.insecure"] in page
    assert texts("en")["login.insecure"] not in source(requests.get(f"{world.url}/hub/login", timeout=30))
