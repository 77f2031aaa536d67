"""Work that blocks, such as a directory or a hash, done beside the hub's loop: in a few threads of its own and for a limited time.

Logins may wait for each other; nothing else ever waits for a login. A thread cannot be stopped from outside, so whoever gives up calls `abort`, which ends what
the thread waits for (closing its socket).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_THREADS = 16
Result = TypeVar("Result")


class OffLoop:
    """At most 16 pieces of work at a time; the others queue, and their waiting counts."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)

    async def run(self, work: Callable[[], Result], seconds: float, abort: Callable[[], None] = lambda: None) -> Result:
        """The result of `work()`; TimeoutError where it does not come within `seconds`, with the wait for a thread counted."""
        future = self._pool.submit(work)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except (TimeoutError, asyncio.CancelledError):
            abort()
            raise
