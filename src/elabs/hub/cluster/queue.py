"""Starts in turn: at most so many at once, first come first served, and each knows how many are before it. One asyncio loop runs all of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Queue:
    """Lets `places` through at once."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[asyncio.Future[None], Callable[[int], None]]] = []

    @asynccontextmanager
    async def turn(self, told: Callable[[int], None]) -> AsyncIterator[None]:
        """Hold a place; `told` hears how many are before it, whenever that changes, and 0 once it is its turn."""
        if self._free and not self._waiting:
            self._free -= 1
        else:
            mine = asyncio.get_running_loop().create_future()
            self._waiting.append((mine, told))
            told(len(self._waiting))
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._next()  # the place was already given
                else:
                    self._waiting = [(future, hears) for future, hears in self._waiting if future is not mine]
                    self._tell()
                raise
        told(0)
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            future, _ = self._waiting.pop(0)
            if not future.done():
                future.set_result(None)
                self._tell()
                return
        self._free += 1

    def _tell(self) -> None:
        for before, (_, told) in enumerate(self._waiting, start=1):
            told(before)
