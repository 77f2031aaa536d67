"""A start that may go to several clusters, and a lab in another one: which are tried, how long one may be without room, when a lab there listens."""

import asyncio
import time
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

import jupyterhub
from aiohttp import ClientError
from jupyterhub.httpclient import fetch

from elabs.config.model import Config
from elabs.hub.cluster import placement, routes
from elabs.hub.cluster.clouds import UNANSWERED, Cloud, Clouds
from elabs.hub.spawner import LabRefused

OF_THE_PLACE = ("no-room", "no-image", "no-home", "unreachable")
"""Codes of refusals after which another cluster may do."""
_LOOK_SECONDS = 0.1
_ANSWER_SECONDS = 5.0


class Patience:
    """Ends once there has been no room for so many `seconds` without a break; None: never."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds, self._since = seconds, time.monotonic()

    def is_over(self, waits_for_room: bool) -> bool:
        """Whether it has ended; `waits_for_room` says whether there is none now."""
        if not waits_for_room:
            self._since = time.monotonic()
        return self._seconds is not None and time.monotonic() - self._since > self._seconds


def in_turn(clouds: Clouds, config: Config, profile: str, at_home: Collection[str]) -> list[str]:
    """The clusters in which to try a lab of that profile; `at_home` are the pods of labs in the hub's own."""
    wanted = config.profiles[profile]
    found = []
    for name in wanted.clusters:
        cloud = clouds.get(name)
        settings = cloud.settings if cloud else config.kubernetes
        count = len(cloud.labs() if cloud else at_home)
        found.append(placement.Candidate(name, price=settings.price or 0.0, labs=count, most=settings.labs, refused=clouds.refused(name)))
    return placement.order(wanted.placement, found)


def limit(config: Config, profile: str) -> int:
    """Seconds that a start may take in all: what one may, and the waits for room before the last cluster."""
    return config.labs.start_timeout + config.labs.next_cluster_after * (len(config.profiles[profile].clusters) - 1)


async def alone(clouds: Clouds, cluster: str, pod: str) -> None:
    """Have the person's pod removed from every other cluster that has the same homes, where a stop or a start could not: two labs would write the same files.

    LabRefused where such a cluster does not answer.
    """
    for cloud in clouds:
        if cloud.name != cluster and cloud.settings.homes == "shared" and pod in cloud.labs():
            try:
                await cloud.remove(pod)
            except UNANSWERED as error:
                raise LabRefused("still-elsewhere", f"{pod} is still in the cluster {cloud.name}, which does not answer: {error!r}") from error


async def listens(cloud: Cloud, path: str, address: str, person: str, still: Callable[[], None]) -> None:
    """Have the proxy there know the lab of that path, and return once it answers over the public address; `still` raises where it never will.

    OSError or ClientError where the proxy there cannot be told.
    """
    async with asyncio.timeout(_ANSWER_SECONDS):
        await routes.add(cloud, path, routes.target(address), person)
    while True:
        still()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await fetch(routes.asked_at(cloud, path), raise_for_status=False, allow_redirects=False)
            if answer.status == 200:
                return
        except (OSError, TimeoutError, ClientError):
            pass  # it does not listen yet, or the way there is broken just now: the limit of the whole start decides
        await asyncio.sleep(_LOOK_SECONDS)


async def is_up(**_: Any) -> Any:
    """In place of JupyterHub's question whether a lab answers: a start has found out, and later only its pod tells whether it is there."""
    return SimpleNamespace(headers={"X-JupyterHub-Version": jupyterhub.__version__})
