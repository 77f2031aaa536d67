"""The hub's process: JupyterHub, with our configuration, our names in its templates, and its labs compared with the daemon's at the start and every minute."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from tornado.ioloop import PeriodicCallback
from traitlets.config import Config as Traits

from elabs.config.model import Config
from elabs.config.state import State
from elabs.hub import pages
from elabs.hub.configure import SnippetError, configure
from elabs.hub.reconcile import daemon_is_there, stop_unknown
from elabs.hub.request import Application
from elabs.hub.spawner import LabSpawner
from elabs.hub.waiting import wait_for_address
from elabs.runtime.client import RuntimeClient
from elabs.runtime.protocol import Lab
from elabs.storage.ids import Instance

_RECONCILE_SECONDS = 60.0


class Hub(JupyterHub):  # type: ignore[misc]
    """JupyterHub for one instance; everything it is told is in `config` when it is made."""

    @property
    def client(self) -> RuntimeClient:
        """The daemon."""
        return RuntimeClient(Path(self.config.LabSpawner.socket))

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: a jupyterhub_config.py that lies about is not ours."""

    def init_services(self) -> None:
        """JupyterHub makes each managed service a new token at every start and keeps the old ones; those are forgotten first."""
        for token in self.db.query(orm.APIToken).filter(orm.APIToken.service != None, orm.APIToken.note == "generated at startup"):  # noqa: E711 (SQL)
            self.db.delete(token)
        self.db.commit()
        super().init_services()

    def init_tornado_settings(self) -> None:
        """JupyterHub's, and our names for both kinds of templates."""
        super().init_tornado_settings()
        names = pages.names(self.config.LabSpawner.settings, self.client)
        for environment in ("jinja2_env", "jinja2_env_sync"):
            self.tornado_settings[environment].globals.update(names)

    def init_tornado_application(self) -> None:
        """An application that notes the request under way."""
        self.tornado_application = Application(self.handlers, **self.tornado_settings)

    async def init_spawners(self) -> int:
        """JupyterHub's own check of the labs in its database; then, once the daemon answers, of those that are not in it."""
        count: int = await super().init_spawners()
        self._first_reconcile = asyncio.ensure_future(self._reconcile_first())
        return count

    async def _reconcile_first(self) -> None:
        await daemon_is_there(self.client)
        await self.reconcile()
        self._again = PeriodicCallback(self.reconcile, _RECONCILE_SECONDS * 1000)
        self._again.start()

    async def reconcile(self) -> None:
        """Stop the daemon's labs that no person of the hub's has."""
        await stop_unknown(self.client, self._knows)

    def _knows(self, lab: Lab) -> bool:
        person = orm.User.find(self.db, lab.person)
        if person is None:
            return False
        spawners: list[LabSpawner] = list(self.users[person].spawners.values())
        # a start or stop under way is its own business
        return any(spawner.pending or (spawner.ready and spawner.lab == lab.lab) for spawner in spawners)


def main() -> None:
    """Run the hub of `$ELABS_STATE`. Ends with status 2 and one line where it cannot be configured."""
    state = State(Path(os.environ["ELABS_STATE"]))
    os.umask(0o077)
    traits = Traits()
    try:
        instance = Instance.load(state)
        configure(traits, Config.model_validate_json(state.config.read_text(encoding="utf-8")), state, instance)
        wait_for_address(instance.gateway, "elabs hub")
    except (OSError, SnippetError) as error:
        print(f"elabs hub: {error}", file=sys.stderr)
        sys.exit(2)
    Hub.instance(config=traits)
    Hub.launch_instance([])
