"""The spawner and the comparison of labs, against a daemon that is a few lines of the test."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from elabs.config.model import Config
from elabs.hub import spawner as module
from elabs.hub.reconcile import daemon_is_there, stop_unknown
from elabs.hub.spawner import LabRefused, LabSpawner
from elabs.runtime.protocol import Lab, RuntimeRefused


def lab(name: str = "lince", person: str = "lince") -> Lab:
    return Lab(name, person, "default", "medium", "small", "running", "198.18.0.16", 1.0, 1, 2)


class Daemon:
    """Instead of a client; `away` are how many requests nobody answers."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.labs: list[Lab] = []
        self.refuse: RuntimeRefused | None = None
        self.away = 0
        self.going: asyncio.Event = asyncio.Event()
        self.ends: asyncio.Event = asyncio.Event()

    def _hear(self, *what: Any) -> None:
        if self.away:
            self.away -= 1
            raise ConnectionRefusedError("nobody there")
        self.heard.append(what)
        if self.refuse:
            raise self.refuse

    async def start(self, person: str, profile: str, environment: dict[str, str], on_progress: Any) -> dict[str, Any]:
        self._hear("start", person, profile, environment)
        on_progress(5, "home")
        self.going.set()
        await asyncio.sleep(0)
        on_progress(60, "server")
        self.labs = [lab()]
        return {"lab": "lince", "address": "198.18.0.16", "port": 8888}

    async def stop(self, name: str, reason: str = "asked") -> None:
        self._hear("stop", name, reason)
        self.labs = [one for one in self.labs if one.lab != name]
        self.ends.set()

    async def list(self) -> list[Lab]:
        self._hear("list")
        return self.labs

    async def wait(self, name: str) -> dict[str, Any]:
        self._hear("wait", name)
        await self.ends.wait()
        return {"reason": "memory", "detail": ""}

    async def ping(self) -> dict[str, Any]:
        self._hear("ping")
        return {}


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    found = Daemon()
    monkeypatch.setattr(LabSpawner, "client", found)
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0)
    monkeypatch.setattr("elabs.hub.reconcile._AGAIN_SECONDS", 0)
    return found


class Person(LabSpawner):
    """A spawner whose environment is the test's."""

    def get_env(self) -> dict[str, str]:
        return {"JUPYTERHUB_API_TOKEN": "t" * 32, "JUPYTERHUB_SERVICE_PREFIX": "/user/lince/", "PATH": "/evil", "LD_PRELOAD": "x"}


def made(**profiles: Any) -> LabSpawner:
    settings = Config.model_validate({"profiles": profiles} if profiles else {})
    found = Person(settings=settings, socket="/nowhere")
    found.user = SimpleNamespace(name="lince", groups=[])
    return found


async def test_a_start_says_who_which_profile_and_only_the_closed_list(daemon: Daemon) -> None:
    spawner = made()
    assert await spawner.start() == ("198.18.0.16", 8888)
    assert daemon.heard == [("start", "lince", "default", {"JUPYTERHUB_API_TOKEN": "t" * 32, "JUPYTERHUB_SERVICE_PREFIX": "/user/lince/"})]
    assert spawner.get_state() == {"lab": "lince"}


async def test_progress_is_told_to_everybody_who_looks(daemon: Daemon) -> None:
    spawner = made()

    async def look() -> list[dict[str, Any]]:
        found = []
        async for event in spawner.progress():
            found.append(event)
            if event["progress"] == 60:
                return found
        return found

    early = asyncio.ensure_future(look())
    await asyncio.sleep(0)
    starting = asyncio.ensure_future(spawner.start())
    await daemon.going.wait()
    late = asyncio.ensure_future(look())
    await starting
    events = [{"progress": 5, "message": "Preparing your home"}, {"progress": 60, "message": "Starting JupyterLab"}]
    assert await asyncio.wait_for(early, 30) == events
    assert await asyncio.wait_for(late, 30) == events


@pytest.mark.parametrize(("code", "status"), [("no-room", 503), ("timeout", 500), ("busy", 409), ("failed", 500), ("no-home", 500)])
async def test_a_refusal_is_told_in_words_and_the_details_to_the_log(daemon: Daemon, code: str, status: int) -> None:
    daemon.refuse = RuntimeRefused(code, "/secret/path: <broken>")
    with pytest.raises(LabRefused) as caught:
        await made().start()
    error = caught.value
    assert (error.status_code, error.jupyterhub_message) == (status, module.text(f"refused.{code}"))
    assert "<broken>" in str(error)
    assert "secret" not in error.jupyterhub_message + error.jupyterhub_html_message


async def test_no_daemon_is_told_in_words(daemon: Daemon) -> None:
    daemon.away = 1
    with pytest.raises(LabRefused, match="unreachable"):
        await made().start()


async def test_a_profile_that_may_not_be_had_is_refused_before_the_daemon_hears(daemon: Daemon) -> None:
    spawner = made(one={"title": "One"}, two={"title": "Two"})
    spawner.user_options = {"profile": "three"}
    with pytest.raises(LabRefused, match="no-profile"):
        await spawner.start()
    assert daemon.heard == []


async def test_a_lab_runs_until_the_daemon_has_it_no_more(daemon: Daemon) -> None:
    spawner = made()
    assert await spawner.poll() == 0
    await spawner.start()
    assert await spawner.poll() is None
    daemon.labs = [lab("lince", "somebody-else")]
    assert await spawner.poll() == 0


async def test_a_start_under_way_counts_as_running(daemon: Daemon) -> None:
    spawner = made()
    starting = asyncio.ensure_future(spawner.start())
    await daemon.going.wait()
    assert await spawner.poll() is None
    await starting


async def test_without_a_daemon_labs_count_as_running(daemon: Daemon) -> None:
    spawner = made()
    await spawner.start()
    daemon.away = 1
    assert await spawner.poll() is None
    daemon.refuse = RuntimeRefused("failed", "the daemon failed")
    assert await spawner.poll() is None


async def test_state_survives_the_hub(daemon: Daemon) -> None:
    first, second = made(), made()
    await first.start()
    second.load_state(first.get_state())
    assert await second.poll() is None
    second.clear_state()
    assert second.get_state() == {}
    assert await second.poll() == 0


async def test_a_stop_waits_for_a_daemon_that_is_being_restarted_and_says_why(daemon: Daemon) -> None:
    spawner = made()
    await spawner.start()
    daemon.away, spawner.stop_reason = 3, "idle"
    await spawner.stop()
    assert daemon.heard[-1] == ("stop", "lince", "idle")


async def test_the_next_lab_is_not_ended_for_the_last_ones_reason(daemon: Daemon) -> None:
    spawner = made()
    spawner.stop_reason = "administrator"
    await spawner.start()
    assert spawner.stop_reason == "asked"


async def test_a_stop_of_nothing_asks_nobody(daemon: Daemon) -> None:
    await made().stop()
    assert daemon.heard == []


async def test_the_end_of_a_lab_is_noticed_at_once_also_across_a_restart_of_the_daemon(daemon: Daemon) -> None:
    spawner, noticed = made(), asyncio.Event()
    await spawner.start()
    spawner.poll_interval = 3600
    spawner.add_poll_callback(noticed.set)
    daemon.away = 2
    spawner.start_polling()
    while ("wait", "lince") not in daemon.heard:
        await asyncio.sleep(0)
    daemon.labs = []
    daemon.ends.set()
    await asyncio.wait_for(noticed.wait(), 30)
    spawner.stop_polling()


async def test_stopping_to_poll_stops_waiting(daemon: Daemon) -> None:
    spawner = made()
    await spawner.start()
    spawner.start_polling()
    watching = spawner._watching
    assert watching
    spawner.stop_polling()
    with pytest.raises(asyncio.CancelledError):
        await watching


async def test_labs_that_the_hub_does_not_know_are_stopped_and_no_other(daemon: Daemon) -> None:
    daemon.labs = [lab(), lab("orphan", "orphan")]
    assert await stop_unknown(daemon, lambda one: one.person == "lince") == ["orphan"]
    assert [one.lab for one in daemon.labs] == ["lince"]


async def test_without_a_daemon_labs_are_compared_another_time(daemon: Daemon) -> None:
    daemon.labs, daemon.away = [lab("orphan", "orphan")], 1
    assert await stop_unknown(daemon, lambda one: False) == []
    assert len(daemon.labs) == 1


async def test_the_hub_waits_for_its_daemon(daemon: Daemon) -> None:
    daemon.away = 25
    await asyncio.wait_for(daemon_is_there(daemon), 30)
    assert daemon.heard == [("ping",)]


def test_nobody_reads_options_by_name(tmp_path: Path) -> None:
    assert module.options_from_form({"profile": ["two", "three"], "other": ["x"]}) == {"profile": "two"}
    assert module.options_from_form({}) == {}
    assert module.options_from_form({"profile": []}) == {}
