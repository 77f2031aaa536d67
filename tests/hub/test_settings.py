"""Settings that the other tests leave at their defaults: the idle rule, attempts of one address, language and name of the site, snippets."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

from elabs.cli.errors import Problem
from elabs.hub.text import texts
from tests.hub.test_pages import source, words
from tests.hub.world import ROOT, World, eventually


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    snippets = tmp_path_factory.mktemp("snippets")
    (snippets / "announce.py").write_text("c.JupyterHub.template_vars = {'announcement': 'Mantenimiento el lunes'}\n")
    try:
        made = World(
            site={"name": "Instituto <X>", "language": "es"}, login={"attempts": {"limit": 1, "within": "1h"}, "admins": ["lince"]},
            labs={"idle": {"after": "8s"}}, hub={"snippets": str(snippets)},
        )  # fmt: skip
    except Problem as error:
        pytest.skip(str(error))
    with made:
        yield made


def test_the_sites_name_and_language_are_on_every_page(strict: World) -> None:
    page = requests.get(f"{strict.url}/hub/login", headers={"Accept-Language": "en"}, timeout=30)
    assert "Instituto &lt;X&gt;" in source(page)
    assert texts("es")["login.password"] in words(page)


def test_snippets_have_the_last_word(strict: World) -> None:
    assert "Mantenimiento el lunes" in source(requests.get(f"{strict.url}/hub/login", timeout=30))


def test_an_idle_lab_is_stopped_and_its_person_is_told(strict: World) -> None:
    visit = strict.visit("colibri")
    visit.start()

    def stopped() -> list[str]:
        return [request["reason"] for verb, request in strict.daemon.heard if verb == "stop"]

    assert eventually(stopped, "the lab is stopped", 120) == ["idle"]
    assert texts("es")["ended.idle"] in words(visit.get("/hub/home"))
    assert texts("es")["home.idle"].format(time="8s") in words(visit.get("/hub/home"))


def test_who_the_settings_name_administrates(strict: World) -> None:
    assert strict.visit("lince").hub("GET", "users").status_code == 200
    assert strict.visit("colibri").hub("GET", "users").status_code == 403


def test_an_address_is_the_one_that_the_proxy_sees(strict: World) -> None:
    statuses = [
        strict.log_in(f"guess{number}", "x", **{"X-Forwarded-For": f"203.0.113.{number}", "X-Real-IP": f"198.51.100.{number}"}).status_code
        for number in range(12)
    ]
    assert statuses == [403] * 10 + [429] * 2
    # the right password waits too: it is the address that does
    assert strict.log_in("lince").status_code == 429


def test_a_lab_that_asks_the_hub_itself_cannot_pass_for_others(strict: World) -> None:
    class From(HTTPAdapter):
        def init_poolmanager(self, *args: object, **options: object) -> None:
            super().init_poolmanager(*args, **options, source_address=(f"{strict.network}.200", 0))

    def log_in(number: int) -> int:
        session = requests.Session()
        session.mount("http://", From())
        session.headers.update({"X-Forwarded-For": f"203.0.113.{number}", "Sec-Fetch-Mode": "navigate"})
        session.get(f"{strict.hub_url}/login", timeout=30)
        form = {"username": f"lab-guess{number}", "password": "x", "_xsrf": session.cookies["_xsrf"]}
        return session.post(f"{strict.hub_url}/login", data=form, timeout=30, allow_redirects=False).status_code

    assert [log_in(number) for number in range(11)] == [403] * 10 + [429]


def test_a_wrong_snippet_ends_the_hub_with_one_line(strict: World, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("\nc.JupyterHub.hub_port = nothing\n")
    config = strict.config.model_copy(update={"hub": strict.config.hub.model_copy(update={"snippets": tmp_path})})
    state = tmp_path / "state"
    (state / "hub").mkdir(parents=True)
    (state / "hub/secrets").symlink_to(strict.state.hub / "secrets")
    (state / "instance.json").write_text(strict.state.instance.read_text())
    (state / "config.json").write_text(config.model_dump_json())
    environment = {"ELABS_STATE": str(state), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-m", "elabs.hub"], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (2, f"elabs hub: {tmp_path}/broken.py:2: NameError: name 'nothing' is not defined\n")
