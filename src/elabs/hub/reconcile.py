"""The daemon's labs compared with the hub's, so that none is orphaned: a lab that the hub does not know is stopped.

There is such a lab where the hub was killed after the daemon's answer and before its own database had it, or where a stop met a daemon that was away.
A lab that the hub knows and the daemon has not is JupyterHub's matter: it polls each at its start, and forgets those.
"""

import asyncio
import logging
from collections.abc import Callable

from elabs.runtime.client import RuntimeClient
from elabs.runtime.protocol import Lab, RuntimeRefused

log = logging.getLogger("elabs.hub")
_AGAIN_SECONDS = 1.0


async def daemon_is_there(client: RuntimeClient) -> None:
    """Return once the daemon answers, however long it takes; say so every ten seconds."""
    tries = 0
    while True:
        try:
            await client.ping()
            return
        except (OSError, RuntimeRefused) as error:
            if tries % 10 == 0:
                log.warning("waiting for the runtime: %s", error)
        tries += 1
        await asyncio.sleep(_AGAIN_SECONDS)


async def stop_unknown(client: RuntimeClient, known: Callable[[Lab], bool]) -> list[str]:
    """Stop every lab of the daemon's that `known` does not claim; their names. A daemon that is away is asked another time."""
    try:
        unknown = [lab for lab in await client.list() if not known(lab)]
        for lab in unknown:
            log.warning("stopping the lab %s, which the hub does not know", lab.lab)
            await client.stop(lab.lab)
    except (OSError, RuntimeRefused) as error:
        log.warning("labs could not be compared with the runtime's: %s", error)
        return []
    return [lab.lab for lab in unknown]
