"""Hub and proxy listen at addresses that the daemon gives this machine. A program that starts sooner waits for its own: listening elsewhere helps nobody,
and configurable-http-proxy would go on without its API.
"""

import errno
import socket
import sys
import time

_AGAIN_SECONDS = 0.1
_TELL_SECONDS = 10.0


def wait_for_address(address: str, who: str) -> None:
    """Return once this machine has the IPv4 `address`, however long that takes; `who` says every ten seconds what it waits for. OSError for anything else."""
    told = time.monotonic()
    while True:
        with socket.socket() as probe:
            try:
                probe.bind((address, 0))
                return
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            print(f"{who}: waiting for the runtime to make the address {address}", file=sys.stderr, flush=True)
        time.sleep(_AGAIN_SECONDS)
