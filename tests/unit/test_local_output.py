"""A lab's output: bounded, and never in anybody's way."""

import asyncio
import os
from pathlib import Path

from elabs.runtime.local import output
from elabs.runtime.local.output import Output, open_pipe, tail


def test_what_a_lab_prints_is_in_its_log(tmp_path: Path) -> None:
    async def story() -> None:
        end = open_pipe(tmp_path / "pipe")
        reader = Output(tmp_path / "pipe", tmp_path / "ana.log")
        reader.open()
        os.write(end, b"one\ntwo\n")
        await asyncio.sleep(0.05)
        os.write(end, b"three\n")
        reader.close()
        os.close(end)

    asyncio.run(story())
    assert tail(tmp_path / "ana.log", 2) == ["two", "three"]


def test_a_daemon_that_comes_back_goes_on_reading(tmp_path: Path) -> None:
    async def story() -> None:
        end = open_pipe(tmp_path / "pipe")
        for text in (b"before\n", b"after\n"):
            os.write(end, text)
            reader = Output(tmp_path / "pipe", tmp_path / "ana.log")
            reader.open()
            reader.close()
            os.write(end, b"between\n")
        os.close(end)

    asyncio.run(story())
    assert tail(tmp_path / "ana.log") == ["before", "between", "after"]


def test_a_full_pipe_does_not_block_the_lab(tmp_path: Path) -> None:
    end = open_pipe(tmp_path / "pipe")
    written = 0
    try:
        while True:
            written += os.write(end, b"x" * 4096)
    except BlockingIOError:
        pass
    assert written >= 4096
    os.close(end)


def test_a_log_is_turned_over(tmp_path: Path, monkeypatch: object) -> None:
    writer = Output(tmp_path / "pipe", tmp_path / "ana.log")
    for _ in range(3):
        writer._write(b"y" * (output.LARGEST + 1))
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"ana.log.1": output.LARGEST + 1}
