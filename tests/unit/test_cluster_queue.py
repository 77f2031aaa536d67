"""Starts in turn: never more at once than there are places, in order, and each knows how many are before it."""

import asyncio

import pytest

from elabs.hub.cluster.queue import Queue


async def started(queue: Queue, name: str, told: dict[str, list[int]], go: asyncio.Event, order: list[str]) -> None:
    async with queue.turn(told.setdefault(name, []).append):
        order.append(name)
        await go.wait()


async def test_first_come_first_served_and_everybody_knows_the_place() -> None:
    queue, told, order = Queue(2), dict[str, list[int]](), list[str]()
    goes = {name: asyncio.Event() for name in "abcde"}
    tasks = [asyncio.create_task(started(queue, name, told, goes[name], order)) for name in "abcde"]
    await asyncio.sleep(0)
    assert order == ["a", "b"]
    assert told == {"a": [0], "b": [0], "c": [1], "d": [2], "e": [3]}
    goes["b"].set()
    await asyncio.sleep(0.01)
    assert order == ["a", "b", "c"]
    assert told["d"] == [2, 1] and told["e"] == [3, 2]
    for go in goes.values():
        go.set()
    await asyncio.gather(*tasks)
    assert order == list("abcde")
    assert [places[-1] for places in told.values()] == [0] * 5


async def test_who_gives_up_gives_the_place_to_the_next() -> None:
    queue, told, order = Queue(1), dict[str, list[int]](), list[str]()
    goes = {name: asyncio.Event() for name in "abc"}
    a, b, c = (asyncio.create_task(started(queue, name, told, goes[name], order)) for name in "abc")
    await asyncio.sleep(0)
    b.cancel()
    await asyncio.sleep(0.01)
    assert told["c"] == [2, 1]
    a.cancel()
    await asyncio.sleep(0.01)
    assert order == ["a", "c"]
    goes["c"].set()
    await c
    async with queue.turn(order.append):  # nobody's place was lost
        pass


async def test_a_place_given_to_somebody_who_just_gave_up_is_given_on() -> None:
    queue, order = Queue(1), list[str]()
    told: dict[str, list[int]] = {}
    goes = {name: asyncio.Event() for name in "abc"}
    a, b, c = (asyncio.create_task(started(queue, name, told, goes[name], order)) for name in "abc")
    await asyncio.sleep(0)
    a.cancel()
    await asyncio.sleep(0)  # b has the place, and does not know it yet
    b.cancel()
    with pytest.raises(asyncio.CancelledError):
        await b
    await asyncio.sleep(0.01)
    assert order[-1] == "c"
    goes["c"].set()
    await c
