"""The daemon's door: a hostile hub sends what it likes and gets a refusal of one line. The labs behind the door here only write down what came through."""

import asyncio
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from elabs.runtime.local.server import Server
from elabs.runtime.protocol import MAX_LINE

GOOD = {"JUPYTERHUB_API_TOKEN": "a" * 32, "JUPYTERHUB_SERVICE_PREFIX": "/user/ana/"}


@pytest.fixture(autouse=True)
def _ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root may give the socket to the hub's group; the tests run for an ordinary user too."""
    if os.getuid() != 0:
        monkeypatch.setattr(os, "chown", lambda *_: None)


class Recorder:
    """Stands behind the door in place of labs."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    async def start(self, person: str, profile: str, environment: dict[str, str], progress: Any) -> dict[str, Any]:
        self.heard.append(("start", person, profile, environment))
        progress(5, "home")
        if person == "slow":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.heard.append(("cancelled",))
                raise
        return {"lab": person, "address": "198.18.0.16", "port": 8888}

    async def stop(self, lab: str, reason: str) -> None:
        self.heard.append(("stop", lab, reason))

    def all(self) -> list[Any]:
        return []


async def ask(path: Path, line: bytes) -> list[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line)
    answer = await reader.read()
    writer.close()
    return [json.loads(text) for text in answer.splitlines()]


def talk(tmp_path: Path, *lines: bytes, uid: int | None = None) -> tuple[list[list[dict[str, Any]]], Recorder]:
    async def story() -> tuple[list[list[dict[str, Any]]], Recorder]:
        labs = Recorder()
        server = Server(labs, os.getuid() if uid is None else uid)  # type: ignore[arg-type]
        listening = await server.listen(tmp_path / "socket")
        answers = [await ask(tmp_path / "socket", line) for line in lines]
        listening.close()
        return answers, labs

    return asyncio.run(story())


def request(**parts: Any) -> bytes:
    return json.dumps(parts).encode() + b"\n"


def test_a_start_and_its_progress(tmp_path: Path) -> None:
    answers, labs = talk(tmp_path, request(verb="start", person="ana", profile="default", environment=GOOD))
    assert answers[0] == [{"progress": {"percent": 5, "stage": "home"}}, {"ok": {"lab": "ana", "address": "198.18.0.16", "port": 8888}}]
    assert labs.heard == [("start", "ana", "default", GOOD)]


HOSTILE = [
    b"\n",
    b"nonsense\n",
    b"[]\n",
    b"{}\n",
    b'{"verb": ["start"]}\n',
    b"x" * (MAX_LINE * 2) + b"\n",
    request(verb="exec", command="id"),
    request(verb="__class__"),
    *(request(verb="start", person=person, profile="default", environment=GOOD) for person in ("", "a" * 256, "a/b", "a\x00b", "a\nb", None, 7, ["ana"])),
    *(
        request(verb="start", person="ana", profile="default", environment={**GOOD, name: value})
        for name, value in {
            "LD_PRELOAD": "/home/ana/x.so",
            "PATH": "/home/ana",
            "PYTHONPATH": "/home/ana",
            "JUPYTERHUB_API_URL": "http://127.0.0.1:1/",
            "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:22/",
            "JUPYTERHUB_SERVICE_PREFIX": "../../etc",
            "JUPYTERHUB_API_TOKEN": "a b\nPATH=/x",
            "JUPYTERHUB_HOST": "http://x/\nLD_PRELOAD=/x",
            "JUPYTERHUB_OAUTH_SCOPES": 7,
        }.items()
    ),
    request(verb="start", person="ana", profile="default", environment={}),
    request(verb="start", person="ana", profile="default", environment=None),
    request(verb="start", person="ana", profile={"image": "/"}, environment=GOOD),
    *(request(verb="stop", lab=lab) for lab in ("../ana", "", "/", "a" * 99, None, "--all", "ana;id")),
    request(verb="stop", lab="ana", reason="because"),
    request(verb="ended", person="a/b"),
]


@pytest.mark.parametrize("line", HOSTILE)
def test_a_hostile_hub_gets_one_line_and_nothing_behind_the_door_hears_it(tmp_path: Path, line: bytes) -> None:
    answers, labs = talk(tmp_path, line)
    [answer] = answers[0]
    assert set(answer) == {"error"}
    assert "\n" not in answer["error"]["message"] and "Traceback" not in answer["error"]["message"]
    assert labs.heard == []


def test_what_else_a_hub_adds_to_a_start_is_not_heard(tmp_path: Path) -> None:
    extra = {"image": "/", "mounts": ["/etc"], "memory": 2**40, "uid": 0, "args": ["/bin/sh"]}
    _, labs = talk(tmp_path, request(verb="start", person="ana", profile="default", environment=GOOD, **extra))
    assert labs.heard == [("start", "ana", "default", GOOD)]


@pytest.mark.skipif(os.getuid() != 0, reason="another uid than root is refused; root never is")
def test_only_root_and_the_hub_are_answered() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)

    async def story() -> bytes:
        listening = await Server(Recorder(), 4242).listen(folder / "socket")  # type: ignore[arg-type]
        os.chmod(folder / "socket", 0o666)  # the mode is one wall, the peer's uid another: this tries the second
        code = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(1000).decode())"
        process = await asyncio.create_subprocess_exec("/usr/bin/python3", "-c", code, str(folder / "socket"), stdout=asyncio.subprocess.PIPE, user=65534)
        out, _ = await process.communicate()
        listening.close()
        return out

    try:
        assert json.loads(asyncio.run(story()))["error"]["code"] == "refused"
    finally:
        shutil.rmtree(folder)


def test_a_hub_that_hangs_up_cancels_its_start(tmp_path: Path) -> None:
    async def story() -> Recorder:
        labs = Recorder()
        listening = await Server(labs, os.getuid()).listen(tmp_path / "socket")  # type: ignore[arg-type]
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
        writer.write(request(verb="start", person="slow", profile="default", environment=GOOD))
        await reader.readline()
        writer.close()
        while ("cancelled",) not in labs.heard:
            await asyncio.sleep(0.01)
        listening.close()
        return labs

    assert asyncio.run(asyncio.wait_for(story(), 10)).heard[-1] == ("cancelled",)
