"""The hub's process wherever it runs: JupyterHub, with our configuration, our names in its templates, and its labs compared with those that there really are,
at the start and every minute.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from tornado.ioloop import PeriodicCallback
from traitlets.config import Config as Traits

from elabs.hub import pages
from elabs.hub.request import Application

_RECONCILE_SECONDS = 60.0


class Hub(JupyterHub):  # type: ignore[misc]
    """JupyterHub for one place; everything it is told is in `config` when it is made."""

    async def last_end(self, person: str) -> dict[str, Any]:
        """How the person's last lab ended: `reason`, `detail`, `time`, or nothing. OSError or RuntimeRefused where nobody can say."""
        raise NotImplementedError

    async def labs_are_known(self) -> None:
        """Return once it can be told which labs there are."""
        raise NotImplementedError

    async def reconcile(self) -> None:
        """Stop the labs that no person of the hub's has."""
        raise NotImplementedError

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
        names = pages.names(self.config[self.spawner_class.__name__].settings, self.last_end)
        for environment in ("jinja2_env", "jinja2_env_sync"):
            self.tornado_settings[environment].globals.update(names)

    def init_tornado_application(self) -> None:
        """An application that notes the request under way."""
        self.tornado_application = Application(self.handlers, **self.tornado_settings)

    async def init_spawners(self) -> int:
        """JupyterHub's own check of the labs in its database; then, once they can be told, of those that are not in it."""
        count: int = await super().init_spawners()
        self._first_reconcile = asyncio.ensure_future(self._reconcile_first())
        return count

    async def _reconcile_first(self) -> None:
        await self.labs_are_known()
        await self.reconcile()
        self._again = PeriodicCallback(self.reconcile, _RECONCILE_SECONDS * 1000)
        self._again.start()

    def has(self, person: str, is_it: Callable[[Any], bool]) -> bool:
        """Whether that person has a lab for whose spawner `is_it` says yes, or one whose start or stop is under way, which is its own business."""
        found = orm.User.find(self.db, person)
        if found is None:
            return False
        return any(spawner.pending or (spawner.ready and is_it(spawner)) for spawner in self.users[found].spawners.values())


def run(hub: type[Hub], traits: Traits) -> None:
    """Be the hub until somebody stops it."""
    os.umask(0o077)
    hub.instance(config=traits)
    hub.launch_instance([])
