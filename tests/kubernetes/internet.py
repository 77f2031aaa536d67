"""What two clusters have between them: a few public addresses of this machine, each of which leads to one port of a node, and nothing else. Whoever comes is noted,
and an address can be taken away and given back.

The connections are carried by a thread of this process; the machine itself forwards no packet that comes from a cluster, so without it there is no way.
"""

import asyncio
import subprocess
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

Place = tuple[str, int]


class Internet:
    """Public places, and where each leads."""

    def __init__(self, leads: dict[Place, Place], devices: tuple[str, ...]) -> None:
        """`devices` are the clusters' legs on this machine. Labs of one machine, which may run beside, have it forward what comes from elsewhere."""
        self._switches = {Path(f"/proc/sys/net/ipv4/conf/{device}/forwarding"): "" for device in devices}
        for switch in self._switches:
            self._switches[switch] = switch.read_text()
            switch.write_text("0")
            assert switch.read_text().strip() == "0", "this machine forwards packets of a cluster, so two clusters on it are not apart"
        self.came: list[tuple[str, Place]] = []
        """Who came, by address, and to which place."""
        self._leads = leads
        self._servers: dict[Place, asyncio.Server] = {}
        self._open: dict[Place, set[asyncio.StreamWriter]] = {place: set() for place in leads}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        for address in {address for address, _ in leads}:
            subprocess.run(["ip", "address", "replace", f"{address}/32", "dev", "lo"], check=True)
        for place in leads:
            self.mend(place)

    def mend(self, place: Place) -> None:
        """Have it lead where it leads."""
        self._do(self._listen(place))

    def cut(self, place: Place) -> None:
        """Nobody reaches it any more, and who was there is thrown out."""
        self._do(self._close(place))

    def end(self) -> None:
        """Take all addresses away."""
        for place in self._leads:
            self.cut(place)
        for address in {address for address, _ in self._leads}:
            subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)
        for switch, before in self._switches.items():
            if switch.exists():
                switch.write_text(before)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _listen(self, place: Place) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.came.append((writer.get_extra_info("peername")[0], place))
            await self._carry(place, reader, writer)

        if place not in self._servers:
            self._servers[place] = await asyncio.start_server(serve, *place)

    async def _close(self, place: Place) -> None:
        if server := self._servers.pop(place, None):
            server.close()
        for writer in list(self._open[place]):
            writer.transport.abort()

    async def _carry(self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(*self._leads[place])
            self._open[place] |= {writer, there_writer}
            try:
                await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
            finally:
                self._open[place] -= {writer, there_writer}
                there_writer.close()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
