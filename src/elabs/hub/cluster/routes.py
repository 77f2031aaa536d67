"""Routes to labs of other clusters: the site's proxy sends `/user/NAME/` to the public address of the lab's cluster, which JupyterHub sees to; here is that the
proxy there knows the lab's pod. It may be restarted, and forget all, at any time, so its routes are compared every few seconds, as JupyterHub does for its own.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError
from jupyterhub.utils import url_path_join

from elabs.hub.cluster.clouds import Cloud
from elabs.runtime.protocol import LAB_PORT

log = logging.getLogger("elabs.hub")
_ANSWER_SECONDS = 10.0


@dataclass
class Wanted:
    """What the proxy of one cluster is to know."""

    routes: dict[str, str] = field(default_factory=dict)
    """Target by path, `/user/NAME/`."""
    persons: dict[str, str] = field(default_factory=dict)
    """Name of the person by path."""
    left: set[str] = field(default_factory=set)
    """Paths that stay as they are, whatever that is: something is under way."""


def target(address: str) -> str:
    """Where the proxy of a pod's cluster reaches the lab in it."""
    return f"http://[{address}]:{LAB_PORT}" if ":" in address else f"http://{address}:{LAB_PORT}"


def wanted(cluster: str, spawners: Iterable[Any]) -> Wanted:
    """Of all spawners of the hub, those with a lab in that cluster."""
    found = Wanted()
    for spawner in spawners:
        if spawner.cluster != cluster:
            continue
        address = spawner.address()
        if spawner.ready and address:
            found.routes[spawner.proxy_spec] = target(address)
            found.persons[spawner.proxy_spec] = spawner.user.name
        elif spawner.ready or spawner.pending:
            found.left.add(spawner.proxy_spec)
    return found


def differences(found: Wanted, there: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], list[str]]:
    """Routes to add or change, and paths to remove; `there` is what the proxy has, as JupyterHub tells it."""
    added = {path: where for path, where in found.routes.items() if path not in there or there[path]["target"] != where}
    return added, [path for path in there if path not in found.routes and path not in found.left]


async def keep(cloud: Cloud, spawners: Iterable[Any]) -> bool:
    """Make the routes of that cluster's proxy what they are to be; whether it answered."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            there = await cloud.proxy.get_all_routes()
            found = wanted(cloud.name, spawners)
            added, removed = differences(found, there)
            for path, where in added.items():
                log.info("cluster %s: its proxy learns of %s", cloud.name, path)
                await add(cloud, path, where, found.persons[path])
            for path in removed:
                await cloud.proxy.delete_route(path)
    except (OSError, ClientError, TimeoutError) as error:
        cloud.say("proxy", f"its proxy does not answer at {cloud.settings.proxy_api}: {error!r}")
        return False
    cloud.say("proxy", None)
    return True


async def add(cloud: Cloud, path: str, where: str, person: str) -> None:
    """Tell the proxy of that cluster of one lab."""
    await cloud.proxy.add_route(path, where, {"user": person, "server_name": ""})


def asked_at(cloud: Cloud, path: str) -> str:
    """The address at which anybody finds out whether the lab of that path answers."""
    return str(url_path_join(cloud.settings.url, path, "api"))
