"""`python -m elabs.hub.cluster.images NAMESPACE DAEMONSET`: wait until every node has the images, saying how many have. A hook of the chart runs it before an
upgrade, so that no lab waits for an image afterwards. Ends with status 1 where nothing moves for a quarter of an hour.
"""

import asyncio
import sys
import time
from typing import Any

from kubernetes_asyncio import client, config

_LOOK_SECONDS = 1.0
_STUCK_SECONDS = 900.0


def progress(status: Any, generation: int) -> tuple[int, int] | None:
    """Nodes that have the images, and nodes there are; None while the cluster has not looked at the DaemonSet yet."""
    if (status.observed_generation or 0) < generation:
        return None
    return int(status.number_ready or 0), int(status.desired_number_scheduled or 0)


async def wait(namespace: str, name: str) -> int:
    """Return 0 once all nodes have them, 1 where it has come to a halt."""
    config.load_incluster_config()  # type: ignore[no-untyped-call]
    told, moved = None, time.monotonic()
    async with client.ApiClient() as api:
        while True:
            found = await client.AppsV1Api(api).read_namespaced_daemon_set(name, namespace, _request_timeout=10)
            now = progress(found.status, found.metadata.generation)
            if now != told and now is not None:
                told, moved = now, time.monotonic()
                print(f"images: on {now[0]} of {now[1]} nodes", flush=True)
            if now is not None and now[0] >= now[1]:
                return 0
            if time.monotonic() - moved > _STUCK_SECONDS:
                print(
                    f"images: no node got them within {_STUCK_SECONDS / 60:.0f} minutes; see: kubectl describe pods --selector component=images-before",
                    flush=True,
                )
                return 1
            await asyncio.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(asyncio.run(wait(*sys.argv[1:3])))
