"""The hub of one machine: its labs are the daemon's."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from traitlets.config import Config as Traits

from elabs.config.model import Config
from elabs.config.state import State
from elabs.hub.app import Hub, run
from elabs.hub.configure import SnippetError, configure, labs_of_the_daemon
from elabs.hub.place import on_one_machine
from elabs.hub.reconcile import daemon_is_there, stop_unknown
from elabs.hub.waiting import wait_for_address
from elabs.runtime.client import RuntimeClient
from elabs.runtime.protocol import Lab
from elabs.storage.ids import Instance


class LocalHub(Hub):
    """JupyterHub for one instance of `elabs up`."""

    @property
    def client(self) -> RuntimeClient:
        """The daemon."""
        return RuntimeClient(Path(self.config.LabSpawner.socket))

    async def last_end(self, person: str) -> dict[str, Any]:
        """As the daemon tells it."""
        return await self.client.ended(person)

    async def labs_are_known(self) -> None:
        """Once the daemon answers."""
        await daemon_is_there(self.client)

    async def reconcile(self) -> None:
        """Stop the daemon's labs that no person of the hub's has."""
        await stop_unknown(self.client, self._knows)

    def _knows(self, lab: Lab) -> bool:
        return self.has(lab.person, lambda spawner: bool(spawner.lab == lab.lab))


def main() -> None:
    """Run the hub of `$ELABS_STATE`. Ends with status 2 and one line where it cannot be configured."""
    state, traits = State(Path(os.environ["ELABS_STATE"])), Traits()
    try:
        instance = Instance.load(state)
        config = Config.model_validate_json(state.config.read_text(encoding="utf-8"))
        configure(traits, config, on_one_machine(config, state, instance), partial(labs_of_the_daemon, config=config, state=state))
        wait_for_address(instance.gateway, "elabs hub")
    except (OSError, SnippetError) as error:
        print(f"elabs hub: {error}", file=sys.stderr)
        sys.exit(2)
    run(LocalHub, traits)
