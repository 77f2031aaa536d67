"""Blocking work beside the loop: the loop goes on, waiting ends, and whoever gives up can wake the thread."""

import asyncio
import socket
import threading

import pytest

from elabs.hub.login.off_loop import OffLoop


async def test_the_loop_goes_on_while_work_blocks() -> None:
    release = threading.Event()
    work = asyncio.ensure_future(OffLoop("t").run(lambda: release.wait(30), 30))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not work.done()
    release.set()
    assert await work is True


async def test_a_stalled_socket_is_given_up_and_its_thread_ends() -> None:
    ours, theirs = socket.socketpair()
    ended = threading.Event()

    def work() -> bytes:
        try:
            return ours.recv(1)
        finally:
            ended.set()

    try:
        with pytest.raises(TimeoutError):
            await OffLoop("t").run(work, 0.05, lambda: ours.shutdown(socket.SHUT_RDWR))
        assert await asyncio.to_thread(ended.wait, 30)
    finally:
        theirs.close()
        ours.close()


async def test_threads_are_few_and_the_wait_for_one_counts() -> None:
    pool, release = OffLoop("t"), threading.Event()
    busy = [asyncio.ensure_future(pool.run(lambda: release.wait(30), 30)) for _ in range(16)]
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await pool.run(lambda: None, 0.05)
    release.set()
    await asyncio.gather(*busy)
    assert await pool.run(lambda: "free", 30) == "free"


async def test_errors_come_through() -> None:
    with pytest.raises(ZeroDivisionError):
        await OffLoop("t").run(lambda: 1 // 0, 30)
