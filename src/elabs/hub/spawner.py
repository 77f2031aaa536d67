"""A person's lab, as JupyterHub sees it. The daemon starts, stops and watches; here is only who, which profile, and what the person reads meanwhile.

Nothing that counts is kept here: after a crash of the hub at any moment, what the database says is compared with the daemon's labs (`elabs.hub.reconcile`).
A start is one request that lasts until the lab listens; where the hub dies or gives up, it breaks off and the daemon undoes it. While a lab runs, `wait` is
open, so that its end is known at once. Where the daemon does not answer, labs count as running, since they outlive it.
"""

import asyncio
import html
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jupyterhub.spawner import Spawner, SpawnException
from sqlalchemy.orm import object_session
from traitlets import Instance, Integer, Unicode

from elabs.config.model import Config
from elabs.hub import profiles
from elabs.hub.text import text
from elabs.runtime.client import RuntimeClient
from elabs.runtime.protocol import ENVIRONMENT, RuntimeRefused

log = logging.getLogger("elabs.hub")
_AGAIN_SECONDS = 1.0
_STOP_SECONDS = 30.0
"""How long a stop waits for a daemon that is being restarted."""
_STATUS = {"busy": 409, "no-room": 503, "still-elsewhere": 503, "unreachable": 503, "no-profile": 403, "bad-person": 400}


class LabRefused(SpawnException):  # type: ignore[misc]
    """A lab that cannot be started, in the person's language."""

    def __init__(self, code: str, line: str) -> None:
        message = text(f"refused.{code}")
        super().__init__(message, reason=code, log_message=line, message_html=html.escape(message), status_code=_STATUS.get(code, 500))
        self.code = code
        self.jupyterhub_message, self.jupyterhub_html_message = message, html.escape(message)


class LabSpawner(Spawner):  # type: ignore[misc]
    """Asks the daemon at `socket` for labs as `settings` offer them."""

    socket = Unicode(help="Path of the daemon's socket.").tag(config=True)
    settings = Instance(Config, help="The settings in force.").tag(config=True)
    queue_seconds = Integer(240, help="How long a start may wait for its turn in the daemon.").tag(config=True)

    stop_reason = "asked"
    """Why the next stop happens, one of the protocol's REASONS."""

    def __init__(self, **kwargs: Any) -> None:
        self._lab: str | None = None
        self._starting = False
        self._stages: list[tuple[int, str]] = []
        self._news = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        super().__init__(**kwargs)

    @property
    def client(self) -> RuntimeClient:
        """The daemon."""
        return RuntimeClient(Path(self.socket))

    @property
    def lab(self) -> str | None:
        """The daemon's name for the lab, None where none was started."""
        return self._lab

    def load_state(self, state: dict[str, Any]) -> None:
        """After a restart of the hub: which lab it was."""
        super().load_state(state)
        self._lab = state.get("lab")

    def get_state(self) -> dict[str, Any]:
        """What the database keeps."""
        return {**super().get_state(), **({"lab": self._lab} if self._lab else {})}

    def clear_state(self) -> None:
        """There is no lab (any more)."""
        super().clear_state()
        self._lab = None

    async def start(self) -> tuple[str, int]:
        """Address and port of the lab, once it listens. LabRefused where it cannot be."""
        wanted = self.user_options.get(profiles.FIELD) if isinstance(self.user_options, dict) else None
        profile = profiles.choose(self.settings, self.groups(), wanted)
        if profile is None:
            raise LabRefused("no-profile", f"{self.user.name} may not have the profile {wanted!r}")
        environment = {name: value for name, value in self.get_env().items() if name in ENVIRONMENT}
        self._stages, self._starting, self.stop_reason = [], True, "asked"
        limit = self.settings.labs.start_timeout + self.queue_seconds
        try:
            answer = await asyncio.wait_for(self.client.start(self.user.name, profile, environment, self._progressed), limit)
        except TimeoutError:
            raise LabRefused("timeout", f"the runtime did not answer within {limit} s") from None
        except RuntimeRefused as error:
            raise LabRefused(error.code, f"{error.code}: {error}") from error
        except OSError as error:
            raise LabRefused("unreachable", f"the runtime at {self.socket} does not answer: {error}") from error
        finally:
            self._starting = False
        self._lab = answer["lab"]
        return answer["address"], answer["port"]

    async def stop(self, now: bool = False) -> None:
        """End the lab; returns once it is gone. OSError where the daemon stays away."""
        if self._lab is None:
            return
        end = asyncio.get_running_loop().time() + _STOP_SECONDS
        while True:
            try:
                await self.client.stop(self._lab, self.stop_reason)
                return
            except OSError:
                if asyncio.get_running_loop().time() > end:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    async def poll(self) -> int | None:
        """None while the lab runs, starts, or nobody can say; 0 where there is none."""
        if self._starting:
            return None
        if self._lab is None:
            return 0
        try:
            labs = await self.client.list()
        except (OSError, RuntimeRefused) as error:
            log.warning("the runtime does not tell its labs (%s); %s counts as running", error, self._log_name)
            return None
        return None if any(lab.lab == self._lab and lab.person == self.user.name for lab in labs) else 0

    def start_polling(self) -> None:
        """JupyterHub's rare polling, and besides it the daemon's word at the very end."""
        super().start_polling()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._watch())

    def stop_polling(self) -> None:
        """Neither polls nor waits any more."""
        super().stop_polling()
        # the watch itself ends up here when it reports the end; it then ends by itself
        if self._watching and self._watching is not asyncio.current_task():
            self._watching.cancel()
            self._watching = None

    async def _watch(self) -> None:
        """Report the lab's end as soon as the daemon tells it; ask again where the daemon was restarted."""
        while self._lab is not None:
            try:
                ended = await self.client.wait(self._lab)
                log.info("lab %s ended: %s", self._lab, ended.get("reason"))
            except RuntimeRefused:
                pass  # ended before we asked
            except OSError:
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if await self.poll_and_notify() is not None:
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    def _progressed(self, percent: int, stage: str) -> None:
        self._stages.append((percent, stage))
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The stages of the start, in the language of whoever looks. JupyterHub ends it when the start is over."""
        told = 0
        while True:
            news = self._news
            for percent, stage in self._stages[told:]:
                told += 1
                yield {"progress": percent, "message": text(f"stage.{stage}")}
            if news is self._news:
                await news.wait()

    def groups(self) -> set[str]:
        """The hub's groups that the person is in."""
        return {group.name for group in self.user.groups}


def options_form(spawner: LabSpawner) -> str:
    """What the person may choose from, where there is a choice."""
    return profiles.form(spawner.settings, spawner.groups(), spawner.user_options.get(profiles.FIELD))


def options_from_form(form_data: dict[str, list[str]]) -> dict[str, str]:
    """The choice; `start` decides whether it may be had."""
    return {profiles.FIELD: form_data[profiles.FIELD][0]} if form_data.get(profiles.FIELD) else {}


def apply_user_options(spawner: LabSpawner, options: dict[str, Any]) -> None:
    """Nothing: `start` reads the choice itself. Without this JupyterHub warns of options that nobody reads."""


def ready_event(spawner: LabSpawner, event: dict[str, Any]) -> dict[str, Any]:
    """JupyterHub's last progress event, in the person's language."""
    return {**event, "message": text("stage.ready"), "html_message": html.escape(text("stage.ready"))}


def forget_tokens(spawner: LabSpawner) -> None:
    """A lab's tokens end with it. JupyterHub forgets the token across its own restart, and would leave it valid for ever."""
    person = spawner.orm_spawner.user
    for token in list(person.api_tokens):
        if token.note and token.note.startswith("Server at /") and (session := object_session(token)):
            session.delete(token)
