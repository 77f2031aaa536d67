"""What a researcher sees, in Chromium: the login page in their language, the launcher, a cell run by hand, OpenRefine from its button."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import start_live
from tests.live import Live

playwright = pytest.importorskip("playwright.sync_api")
_PATIENCE = 60_000
"""Milliseconds."""
_QUIET = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split()


@pytest.fixture(scope="module")
def full() -> Iterator[Live]:
    """An instance with the full image and its apps."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    live = start_live(os.environ.get("ELABS_TEST_FULL_IMAGE", "full"), "openrefine", name="full", memory="2G", home="1G")
    yield live
    live.down()


@pytest.fixture(scope="module")
def chromium():  # type: ignore[no-untyped-def]
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=_QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, full: Live, request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    context = chromium.new_context(locale=getattr(request, "param", "en-GB"), viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(_PATIENCE)
    yield page
    page.screenshot(path=str(tmp_path / "last.png"))
    context.close()


def log_in(page, live: Live, name: str) -> None:  # type: ignore[no-untyped-def]
    page.goto(live.base)
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", live.passwords()[name])
    page.click("input[type=submit], button[type=submit]")


def enter(page, live: Live, name: str) -> None:  # type: ignore[no-untyped-def]
    """From the login page into the lab and to its launcher, by the button where the lab does not run yet."""
    log_in(page, live, name)
    page.wait_for_url(re.compile(rf"/hub/home|/user/{name}/"))
    if page.url.endswith("/hub/home"):
        page.click("#start")
    page.wait_for_url(re.compile(rf"/user/{name}/lab"), timeout=120_000)
    page.goto(f"{live.base}/user/{name}/lab?reset")  # not where the last visit left off


@pytest.mark.parametrize(("page", "words"), [("es-ES", "Contraseña"), ("en-GB", "Password")], indirect=["page"])
def test_the_login_page_speaks_the_persons_language(page, full: Live, words: str) -> None:  # type: ignore[no-untyped-def]
    page.goto(full.base)
    assert words in page.content()


def test_a_wrong_password_is_told_and_lets_nobody_in(page, full: Live) -> None:  # type: ignore[no-untyped-def]
    page.goto(full.base)
    page.fill("input[name=username]", "lince")
    page.fill("input[name=password]", "wrong")
    page.click("input[type=submit], button[type=submit]")
    page.wait_for_load_state()
    assert page.locator("input[name=password]").count() == 1
    assert "wrong" not in page.url


def test_a_cell_run_by_hand(page, full: Live) -> None:  # type: ignore[no-untyped-def]
    enter(page, full, "colibri")
    # JupyterLab shows a kernel as idle before it is connected, and throws away what is run until then
    with page.expect_websocket(lambda opened: "/channels" in opened.url) as opened:
        page.locator(".jp-LauncherCard[data-category=Notebook]", has_text="Python 3").first.click()
    opened.value.wait_for_event("framereceived", lambda frame: "kernel_info_reply" in (frame if isinstance(frame, str) else frame.decode("latin-1")))
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    assert page.get_by_text("Jupyter news").count() == 0, "people are asked about things that their institute decides"
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click()
    page.keyboard.type("print(6 * 7)")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output", has_text="42").first
    output.wait_for()
    assert output.inner_text().strip() == "42"


@pytest.mark.parametrize("page", ["es-ES", "en-GB"], indirect=True)
def test_openrefine_opens_from_the_launcher(page, full: Live) -> None:  # type: ignore[no-untyped-def]
    enter(page, full, "colibri")
    card = page.locator(".jp-LauncherCard", has_text="OpenRefine")
    card.wait_for()
    assert card.locator("svg[data-icon='elabs-apps:openrefine']").count() == 1, "the app has no icon"
    with page.context.expect_page(timeout=_PATIENCE) as opened:
        card.click()
    app = opened.value
    app.wait_for_url(re.compile(r"/user/colibri/openrefine/"), timeout=_PATIENCE)
    app.locator("#create-project-ui-source-selection-tabs, #left-panel, .main-layout-panel").first.wait_for(timeout=_PATIENCE)
    assert "OpenRefine" in app.title()


def test_two_people_at_once_and_neither_sees_the_other(chromium, full: Live) -> None:  # type: ignore[no-untyped-def]
    contexts = {name: chromium.new_context(locale="es-ES") for name in ("colibri", "lince")}
    pages = {name: context.new_page() for name, context in contexts.items()}
    for name, page in pages.items():
        enter(page, full, name)
    answer = pages["colibri"].goto(f"{full.base}/user/lince/lab")
    assert answer.status in (403, 404)
    for context in contexts.values():
        context.close()


def test_the_whole_story(full: Live) -> None:
    """`elabs try`: two people, both notebooks, OpenRefine, privacy, stop, start again."""
    done = full.run("try", timeout=900)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "OpenRefine" in done.stdout or "openrefine" not in (full.state.config.read_text())
