"""A person's lab in a cluster, as JupyterHub sees it: KubeSpawner makes the pod, `elabs.runtime.kubernetes` says what it is like; here is only what KubeSpawner
leaves open: a queue, reasons that a person can read, a home that grows, and an end that is noticed and remembered.

The cluster is watched once for all labs (KubeSpawner's reflectors, plain dictionaries in memory), so looking there often costs nothing. A watch that has
given up would make the hub tell old news as true, so the hub then ends, and the cluster starts it anew.
"""

import asyncio
import functools
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import kubespawner.spawner as theirs
from jupyterhub.utils import exponential_backoff
from kubernetes_asyncio.client import ApiException
from kubespawner import KubeSpawner
from traitlets import Instance, Integer, Unicode

from elabs.config.model import Config
from elabs.config.units import parse_bytes
from elabs.hub import profiles
from elabs.hub.cluster import reasons
from elabs.hub.cluster.queue import Queue
from elabs.hub.cluster.reasons import Refusal, Stage
from elabs.hub.spawner import LabRefused
from elabs.hub.text import text
from elabs.journal.events import Journal
from elabs.runtime.kubernetes import labs
from elabs.runtime.kubernetes.labs import Release
from elabs.runtime.protocol import LAB_PORT
from elabs.storage.slugs import slug

log = logging.getLogger("elabs.hub")
STARTS_AT_ONCE = 32
"""Pods that the cluster is asked for at once; the others wait in turn."""
_LOOK_SECONDS = 0.05

# KubeSpawner looks into its own memory, and asks the API, ever more rarely, up to five seconds apart; a lab would be ready long before anybody noticed.
theirs.exponential_backoff = functools.partial(exponential_backoff, start_wait=_LOOK_SECONDS, scale_factor=1.2, max_wait=0.3)


class ClusterSpawner(KubeSpawner):  # type: ignore[misc]
    """KubeSpawner for labs as `settings` offer them."""

    settings = Instance(Config, help="The settings in force.").tag(config=True)
    release = Instance(Release, help="The release that the hub is part of.").tag(config=True)
    journal_path = Unicode(help="File of the journal of labs' starts and ends.").tag(config=True)
    queue_seconds = Integer(240, help="How long a start may wait for its turn.").tag(config=True)

    stop_reason = "asked"
    """Why the next stop happens."""
    queue = Queue(STARTS_AT_ONCE)

    def __init__(self, **kwargs: Any) -> None:
        self._before = 0
        self._alive = False
        self._seen: reasons.Pod | None = None
        super().__init__(**kwargs)
        self._name()

    @property
    def journal(self) -> Journal:
        """What remembers starts and ends; one for all labs."""
        return open_journal(self.journal_path)

    @property
    def lab(self) -> str:
        """The person's slug, which names the lab's pod and claim."""
        return slug(self.user.name)

    def _name(self) -> None:
        self.pod_name, self.pvc_name = labs.pod_name(self.lab), labs.claim_name(self.lab)
        self.dns_name = self.dns_name_template.format(namespace=self.namespace, name=self.pod_name)

    def load_state(self, state: dict[str, Any]) -> None:
        """After a restart of the hub: where the database has a lab, its end is news."""
        super().load_state(state)
        self._name()
        self._alive = self.orm_spawner is not None and self.orm_spawner.server is not None

    def clear_state(self) -> None:
        """There is no lab (any more)."""
        super().clear_state()
        self._name()
        self._alive, self._seen = False, None

    def groups(self) -> set[str]:
        """The hub's groups that the person is in."""
        return {group.name for group in self.user.groups}

    async def load_user_options(self) -> None:
        """What the person chose, made into the pod. LabRefused where they may not have it."""
        wanted = self.user_options.get(profiles.FIELD) if isinstance(self.user_options, dict) else None
        profile = profiles.choose(self.settings, self.groups(), wanted)
        if profile is None:
            raise LabRefused("no-profile", f"{self.user.name} may not have the profile {wanted!r}")
        for name, value in labs.traits(self.settings, self.release, profile, self.lab).items():
            setattr(self, name, value)

    def start(self) -> asyncio.Future[str]:
        """The lab's address, once it listens. LabRefused where it cannot be."""
        self._start_future = asyncio.ensure_future(self._start_in_turn())
        return self._start_future

    async def _start_in_turn(self) -> str:
        self.stop_reason, self._seen = "asked", None
        async with self.queue.turn(self._told):
            limit = self.settings.labs.start_timeout
            try:
                return await asyncio.wait_for(self._start_lab(), limit)
            except TimeoutError:
                refused = reasons.late(self._pod(), self._events())
            except LabRefused as error:
                if error.code != "no-profile":
                    self.journal.append("failed", self.user.name, self.lab, error.code, message=str(error))
                raise
            raise self._refused(refused)

    async def _start_lab(self) -> str:
        await self._home()
        making = asyncio.ensure_future(super()._start())
        try:
            while not making.done():
                await asyncio.wait({making}, timeout=_LOOK_SECONDS)
                self._hopeless()
            url: str = await making
            await self._listens()
        finally:
            making.cancel()
        self._alive = True
        self.journal.append("started", self.user.name, self.lab, profile=self.user_options.get(profiles.FIELD))
        return url

    def _hopeless(self) -> None:
        """LabRefused once the start can never succeed."""
        if refused := reasons.refusal(self._pod()):
            raise self._refused(refused)

    def _refused(self, refused: Refusal) -> LabRefused:
        log.warning("the lab of %s does not start: %s: %s", self.user.name, refused.code, refused.line)
        for event in self._events()[-5:]:
            log.warning("  %s", reasons.summary(event))
        return LabRefused(refused.code, refused.line)

    async def _home(self) -> None:
        """Know whether the person has a home, and let it grow to the size of the settings."""
        try:
            claim = await self.api.read_namespaced_persistent_volume_claim(self.pvc_name, self.namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            self._pvc_exists = False
            return
        self._pvc_exists = True
        size = self.settings.storage.home.size
        if _quantity(claim.spec.resources.requests.get("storage", "0")) < size:
            grown = {"spec": {"resources": {"requests": {"storage": str(size)}}}}
            try:
                await self.api.patch_namespaced_persistent_volume_claim(self.pvc_name, self.namespace, grown)
                log.info("the home of %s grows to %s bytes", self.user.name, size)
            except ApiException as error:
                log.warning("the home of %s cannot grow to %s bytes: %s", self.user.name, size, error.reason)

    async def _listens(self) -> None:
        """Return once the lab takes connections; LabRefused where its server ends before."""
        address = ((self._pod() or {}).get("status") or {}).get("podIP")
        while True:
            self._hopeless()
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(address, LAB_PORT), 2)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self, now: bool = False) -> None:
        """Remove the pod; returns once it is gone. The home stays."""
        if self._alive and not reasons.terminated(self._pod()):
            self._ended(self.stop_reason)
        await super().stop(now)

    async def poll(self) -> int | None:
        """None while the lab runs or starts; else why it ended is remembered first."""
        pod = self._pod()
        if pod is not None:
            self._seen = pod
        if self._alive and self.pod_reflector and reasons.terminated(pod):
            found = reasons.end(pod or self._seen)
            log.info("the lab of %s ended: %s: %s", self.user.name, found.reason, found.line)
            self._ended(found.reason)
        status: int | None = await super().poll()
        self._alive = status is None and self.server is not None
        return status

    def _ended(self, reason: str) -> None:
        self._alive = False
        limit = int(self.mem_limit or 0) or self.settings.size_of(self.settings.profiles_in_order()[0]).memory
        self.journal.append("ended", self.user.name, self.lab, reason, memory_limit_bytes=limit)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The stages of the start, in the language of whoever looks, until it is over."""
        told: tuple[Stage, int] | None = None
        starting = self._start_future
        while starting is not None and not starting.done():
            now = (reasons.stage(self._pod(), self._events()), self._before)
            if now != told:
                told = now
                if self._before:
                    yield {"progress": 1, "message": text("stage.queue" if self._before > 1 else "stage.queue.one", before=self._before)}
                else:
                    yield {"progress": now[0].percent, "message": text(f"stage.{now[0].key}")}
            await asyncio.wait({starting}, timeout=0.2)

    def _told(self, before: int) -> None:
        self._before = before

    def _pod(self) -> reasons.Pod | None:
        reflector = self.pod_reflector
        found: reasons.Pod | None = reflector.pods.get(f"{self.namespace}/{self.pod_name}") if reflector else None
        return found

    def _events(self) -> list[reasons.Event]:
        pod, reflector = self._pod(), self.event_reflector
        if pod is None or reflector is None:
            return []
        return [event for event in reflector.events if event["involvedObject"].get("uid") == pod["metadata"]["uid"]]

    async def _start_reflector(self, kind: str, reflector_class: Any, replace: bool = False, **kwargs: Any) -> Any:
        """KubeSpawner's, but a watch of one namespace that gives up ends the hub as well."""
        reflector = await super()._start_reflector(kind, reflector_class, replace=replace, **kwargs)
        reflector.on_failure = functools.partial(give_up, kind)
        return reflector


@functools.cache
def open_journal(path: str) -> Journal:
    """The journal in that file, opened once."""
    return Journal(Path(path))


def give_up(kind: str) -> NoReturn:
    """End the hub at once, for the cluster to start it anew: what it knows of labs is no longer true."""
    log.critical("the watch of the cluster's %s has ended; so does the hub, to be started anew", kind)
    logging.shutdown()
    os._exit(1)


def check_watches() -> None:
    """Give up where a watch has ended, for whatever reason."""
    for (kind, *_), reflector in ClusterSpawner.reflectors.items():
        if reflector.watch_task is not None and reflector.watch_task.done():
            give_up(kind)


_QUANTITY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def _quantity(written: str) -> int:
    """Bytes of a quantity as Kubernetes writes it: `5368709120`, `5Gi`, `5G` (which there is 5·10⁹)."""
    for unit, factor in _QUANTITY.items():
        if written.endswith(unit):
            return int(float(written.removesuffix(unit)) * factor)
    return parse_bytes(int(written))
