"""The agent beside us, for a home on this machine: a fork, connected by two pipes, with the ids of the person where it writes.

Forked and not started anew, since a person's ids can often not read the program's files. Fork before there are threads.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elabs.storage.transfer import agent
from elabs.storage.transfer.wire import Wire


@contextmanager
def beside(home: Path, owner: int | None) -> Iterator[Wire]:
    """The wire to an agent for `home` that runs as uid and gid `owner` (None: as we do). It is gone at the end. OSError where the home cannot be opened."""
    root = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    there_in, here_out = os.pipe()
    here_in, there_out = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(here_in)
            os.close(here_out)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end ends us
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if owner is not None:
                os.setgroups([])
                os.setresgid(owner, owner, owner)
                os.setresuid(owner, owner, owner)
            agent.serve(Wire(there_in, there_out), root)
        finally:
            os._exit(0)
    for fd in (there_in, there_out, root):
        os.close(fd)
    wire = Wire(here_in, here_out)
    try:
        yield wire
    finally:
        wire.close()
        os.waitpid(pid, 0)
