"""A lab's first process: take the secrets, make sure a start cannot fail for what is in the home, become JupyterHub's single-user server.

The order matters: output first (what goes wrong later must be readable), then the environment (everything after reads it at import), then the rest. A person's
own Jupyter configuration may be broken: then the process begins anew without it.
"""

import gc
import os
import sys

# Collecting garbage while everything is being imported finds none, and is a seventh of the time that a start takes; `server` turns it on again.
gc.disable()

# `python -m` puts the working directory, the home, before everything else: a person's `random.py` must not become the server's.
sys.path[:] = [entry for entry in sys.path if entry not in ("", os.getcwd())]

from elabs.lab import authorities, deferred, environment, output, welcome  # noqa: E402


def main() -> None:
    """Run the lab until somebody stops it."""
    output.shelter()
    environment.receive(0)
    environment.settle()
    authorities.believe()
    welcome.copy(environment.home())

    deferred.defer()
    from elabs.lab import server  # only now: Jupyter reads the environment while it is imported

    try:
        app = server.prepare()
    except (Exception, SystemExit) as error:
        if environment.without_personal_configuration():
            raise
        output.say(f"the server does not start with the configuration in this home ({error!r}); trying again without it")
        environment.begin_without_personal_configuration()
    server.serve(app)


main()
