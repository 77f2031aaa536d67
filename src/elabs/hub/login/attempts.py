"""How often one may fail: a limit for each account and, ten times as high, for each address.

An attempt counts as failed from its beginning, so that a thousand at once are no way around the limit; one that succeeds, or that the directory never answered,
is taken back. What waits does not count, so a wait never grows. Memory is bounded: beyond `most` accounts or addresses, the one that failed longest ago is
forgotten.
One event loop, no awaits: nothing here needs a lock.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

ADDRESS_FACTOR = 10
"""Many people may share an address."""


@dataclass(frozen=True)
class Attempt:
    """One login that may proceed, to be given back to `Attempts`."""

    account: str
    address: str
    time: float


class Attempts:
    """The failures of the last `within` seconds; `limit` of one account make the next wait."""

    def __init__(self, limit: int, within: float, clock: Callable[[], float] = time.monotonic, most: int = 10_000) -> None:
        self._accounts = _Failures(limit, within, most)
        self._addresses = _Failures(limit * ADDRESS_FACTOR, within, most)
        self._clock = clock

    def begin(self, account: str, address: str) -> Attempt | float:
        """The attempt, counted as failed until it is taken back; or the seconds to wait where it may not be made."""
        now, network = self._clock(), _network(address)
        wait = max(self._accounts.wait(account, now), self._addresses.wait(network, now))
        if wait > 0:
            return wait
        self._accounts.add(account, now)
        self._addresses.add(network, now)
        return Attempt(account, network, now)

    def succeeded(self, attempt: Attempt) -> None:
        """The password was right: the account's failures are forgotten, the address's remain, so that one's own account does not pay for guesses at others'."""
        self._accounts.forget(attempt.account)
        self._addresses.take_back(attempt.address, attempt.time)

    def unanswered(self, attempt: Attempt) -> None:
        """Nobody could say whether the password was right."""
        self._accounts.take_back(attempt.account, attempt.time)
        self._addresses.take_back(attempt.address, attempt.time)


class _Failures:
    """Times of failures by key, oldest first; keys in the order of their last failure."""

    def __init__(self, limit: int, within: float, most: int) -> None:
        self._limit, self._within, self._most = limit, within, most
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, key: str, now: float) -> float:
        times = [time for time in self._times.get(key, ()) if time > now - self._within]
        return times[-self._limit] + self._within - now if len(times) >= self._limit else 0.0

    def add(self, key: str, now: float) -> None:
        self._times[key] = [*(time for time in self._times.get(key, ()) if time > now - self._within), now]
        self._times.move_to_end(key)
        while len(self._times) > self._most:
            self._times.popitem(last=False)

    def take_back(self, key: str, time: float) -> None:
        times = self._times.get(key, [])
        if time in times:
            times.remove(time)
        if not times:
            self.forget(key)

    def forget(self, key: str) -> None:
        self._times.pop(key, None)


def _network(address: str) -> str:
    """What counts as one address: an IPv6 network of 64 bits is one machine's."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped) if found.ipv4_mapped else str(IPv6Address(int(found) >> 64 << 64))
    return str(found)
