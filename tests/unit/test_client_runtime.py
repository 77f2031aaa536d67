"""The hub's end of the daemon's socket, against a daemon that says what the test wants."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from elabs.runtime.client import RuntimeClient, ask
from elabs.runtime.protocol import Lab, RuntimeRefused

LAB = {"lab": "lince", "person": "lince", "profile": "default", "size": "medium", "image": "small", "state": "running", "address": "198.18.0.16", "since": 1.0}
LAB |= {"memory_bytes": 1, "memory_limit_bytes": 2}


@asynccontextmanager
async def daemon(path: Path, *lines: str, then: Callable[[asyncio.StreamReader], Any] | None = None) -> AsyncIterator[list[Any]]:
    heard: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(json.loads(await reader.readline()))
        for line in lines:
            writer.write(line.encode())
        await writer.drain()
        if then:
            await then(reader)
        writer.close()

    async with await asyncio.start_unix_server(serve, str(path)):
        yield heard


async def test_a_start_tells_its_progress_and_then_where_the_lab_is(tmp_path: Path) -> None:
    lines = [
        '{"progress": {"percent": 5, "stage": "home"}}\n',
        '{"progress": {"percent": 60, "stage": "server"}}\n',
        '{"ok": {"lab": "lince", "address": "a", "port": 1}}\n',
    ]
    seen: list[tuple[int, str]] = []
    async with daemon(tmp_path / "s", *lines) as heard:
        found = await RuntimeClient(tmp_path / "s").start("lince", "default", {"A": "b"}, lambda percent, stage: seen.append((percent, stage)))
    assert found == {"lab": "lince", "address": "a", "port": 1}
    assert seen == [(5, "home"), (60, "server")]
    assert heard == [{"verb": "start", "person": "lince", "profile": "default", "environment": {"A": "b"}}]


async def test_every_verb_asks_what_the_protocol_says(tmp_path: Path) -> None:
    client = RuntimeClient(tmp_path / "s")
    async with daemon(tmp_path / "s", '{"ok": {}}\n') as heard:
        await client.stop("lince")
        await client.stop("lince", "idle")
        await client.wait("lince")
        await client.stats("lince")
        await client.ended("lince")
        await client.ping()
    assert heard == [
        {"verb": "stop", "lab": "lince", "reason": "asked"},
        {"verb": "stop", "lab": "lince", "reason": "idle"},
        {"verb": "wait", "lab": "lince"},
        {"verb": "stats", "lab": "lince"},
        {"verb": "ended", "person": "lince"},
        {"verb": "ping"},
    ]


async def test_a_long_list_is_a_list_of_labs(tmp_path: Path) -> None:
    async with daemon(tmp_path / "s", json.dumps({"ok": {"labs": [LAB] * 1000}}) + "\n"):
        assert await RuntimeClient(tmp_path / "s").list() == [Lab(**LAB)] * 1000


async def test_a_refusal_has_its_code(tmp_path: Path) -> None:
    async with daemon(tmp_path / "s", '{"error": {"code": "no-room", "message": "no memory left"}}\n'):
        with pytest.raises(RuntimeRefused, match="no memory left") as caught:
            await RuntimeClient(tmp_path / "s").ping()
    assert caught.value.code == "no-room"


@pytest.mark.parametrize("lines", [[], ['{"progress": {"percent": 5, "stage": "home"}}\n'], ['{"ok": {"la'], ["\n"]])
async def test_a_daemon_that_breaks_off_is_a_connection_error(tmp_path: Path, lines: list[str]) -> None:
    async with daemon(tmp_path / "s", *lines):
        with pytest.raises(ConnectionError):
            await RuntimeClient(tmp_path / "s").start("lince", "default", {}, lambda *_: None)


async def test_no_daemon_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        await RuntimeClient(tmp_path / "s").ping()


async def test_a_cancelled_start_hangs_up(tmp_path: Path) -> None:
    hung_up, begun = asyncio.Event(), asyncio.Event()

    async def then(reader: asyncio.StreamReader) -> None:
        assert await reader.read() == b""
        hung_up.set()

    async with daemon(tmp_path / "s", '{"progress": {"percent": 5, "stage": "home"}}\n', then=then):
        start = asyncio.ensure_future(RuntimeClient(tmp_path / "s").start("lince", "default", {}, lambda *_: begun.set()))
        await asyncio.wait_for(begun.wait(), 30)
        start.cancel()
        await asyncio.wait_for(hung_up.wait(), 30)
        assert start.cancelled() or await asyncio.gather(start, return_exceptions=True)


def test_one_request_without_a_loop(tmp_path: Path) -> None:
    def answers(*lines: str) -> Any:
        ready, done = threading.Event(), threading.Event()

        async def serve() -> None:
            async with daemon(tmp_path / "s", *lines):
                ready.set()
                await asyncio.to_thread(done.wait, 30)

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        assert ready.wait(30)
        try:
            return ask(tmp_path / "s", {"verb": "ping"})
        finally:
            done.set()
            thread.join(30)
            (tmp_path / "s").unlink(missing_ok=True)

    assert answers('{"progress": {"percent": 1, "stage": "home"}}\n', '{"ok": {"labs": 3}}\n') == {"labs": 3}
    with pytest.raises(RuntimeRefused):
        answers('{"error": {"code": "failed", "message": "no"}}\n')
    with pytest.raises(ConnectionError):
        answers()
    with pytest.raises(OSError):
        ask(tmp_path / "s", {"verb": "ping"})
