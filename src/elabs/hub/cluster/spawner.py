"""A person's lab in a cluster, as JupyterHub sees it: KubeSpawner makes the pod, `elabs.runtime.kubernetes` says what it is like; here is only what KubeSpawner
leaves open: a queue, reasons that a person can read, a home that grows, and an end that is noticed and remembered.

The cluster is watched once for all labs (KubeSpawner's reflectors, plain dictionaries in memory), so looking there often costs nothing. A watch that has
given up would make the hub tell old news as true, so the hub then ends, and the cluster starts it anew.

A lab may be in another cluster than the hub (`elabs.hub.cluster.clouds`): `cluster` says in which, and everything that KubeSpawner does, it does there.
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
from kubernetes_asyncio.client import ApiException, CoreV1Api
from kubespawner import KubeSpawner
from kubespawner.clients import shared_client
from kubespawner.reflector import ResourceReflector
from traitlets import Instance, Integer, Unicode

from elabs.config.clusters import HOME
from elabs.config.model import Config
from elabs.hub import profiles
from elabs.hub.cluster import afar, reasons
from elabs.hub.cluster.clouds import UNANSWERED, Cloud, Clouds, CloudSilent
from elabs.hub.cluster.queue import Queue
from elabs.hub.cluster.reasons import Refusal, Stage
from elabs.hub.spawner import LabRefused
from elabs.hub.text import text
from elabs.journal.events import Journal
from elabs.runtime.kubernetes import labs
from elabs.runtime.kubernetes.labs import Release
from elabs.runtime.kubernetes.quantity import quantity
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
    clouds = Clouds()
    """The further clusters."""
    authorities = ""
    """The text of `kubernetes.ca`."""

    def __init__(self, **kwargs: Any) -> None:
        self._before = 0
        self._alive = False
        self._seen: reasons.Pod | None = None
        self.cluster = HOME
        super().__init__(**kwargs)
        self._go_to(HOME)

    @property
    def journal(self) -> Journal:
        """What remembers starts and ends; one for all labs."""
        return open_journal(self.journal_path)

    @property
    def lab(self) -> str:
        """The person's slug, which names the lab's pod and claim."""
        return slug(self.user.name)

    @property
    def cloud(self) -> Cloud | None:
        """The further cluster that the lab is in; None for the hub's own."""
        return self.clouds.get(self.cluster)

    @property
    def api(self) -> CoreV1Api:
        """Of the lab's cluster. CloudSilent where that has not answered yet."""
        return self.cloud.core if self.cloud else shared_client("CoreV1Api")

    @api.setter
    def api(self, only: CoreV1Api) -> None:
        """KubeSpawner sets the one that it knows, which is that of the hub's own cluster."""

    def _go_to(self, cluster: str) -> None:
        """Have everything from now on happen in that cluster."""
        self.cluster = cluster
        release = self.cloud.release if self.cloud else self.release
        self.namespace, self.common_labels = release.namespace, labs.common_labels(release)
        self.hub_connect_url = self.settings.site.url if self.cloud else None
        for name, value in labs.home(self.settings, cluster).items():
            setattr(self, name, value)
        self._name()

    def _name(self) -> None:
        self.pod_name, self.pvc_name = labs.pod_name(self.lab), labs.claim_name(self.lab)
        self.dns_name = self.dns_name_template.format(namespace=self.namespace, name=self.pod_name)

    def load_state(self, state: dict[str, Any]) -> None:
        """After a restart of the hub: where the database has a lab, its end is news."""
        super().load_state(state)
        cluster = state.get("cluster", HOME)
        if cluster != HOME and self.clouds.get(cluster) is None:
            log.error("the lab of %s was in the cluster %s, which the settings no longer have; it counts as gone", self.user.name, cluster)
            cluster = HOME
        self._go_to(cluster)
        self._alive = self.orm_spawner is not None and self.orm_spawner.server is not None

    def get_state(self) -> dict[str, Any]:
        """What the database keeps: KubeSpawner's, and where the lab is."""
        return {**super().get_state(), "cluster": self.cluster}

    def clear_state(self) -> None:
        """There is no lab (any more)."""
        super().clear_state()
        self._go_to(HOME)
        self._alive, self._seen = False, None

    def groups(self) -> set[str]:
        """The hub's groups that the person is in."""
        return {group.name for group in self.user.groups}

    async def load_user_options(self) -> None:
        """What the person chose, made into the pod. LabRefused where they may not have it."""
        release = self.cloud.release if self.cloud else self.release
        for name, value in labs.traits(self.settings, release, self.profile(), self.lab, self.authorities).items():
            setattr(self, name, value)

    def profile(self) -> str:
        """The profile that the person chose. LabRefused where they may not have it."""
        wanted = self.user_options.get(profiles.FIELD) if isinstance(self.user_options, dict) else None
        profile = profiles.choose(self.settings, self.groups(), wanted)
        if profile is None:
            raise LabRefused("no-profile", f"{self.user.name} may not have the profile {wanted!r}")
        return profile

    def start(self) -> asyncio.Future[str]:
        """The lab's address, once it listens. LabRefused where it cannot be."""
        self._start_future = asyncio.ensure_future(self._start_in_turn())
        return self._start_future

    async def _start_in_turn(self) -> str:
        self.stop_reason, self._seen = "asked", None
        async with self.queue.turn(self._told):
            try:
                return await asyncio.wait_for(self._start_lab(), afar.limit(self.settings, self.profile()))
            except TimeoutError:
                refused = reasons.late(self._pod(), self._events())
            except LabRefused as error:
                if error.code != "no-profile":
                    self.journal.append("failed", self.user.name, self.lab, error.code, message=str(error))
                raise
            raise self._refused(refused)

    async def _start_lab(self) -> str:
        """Start it in the first of its clusters that takes it."""
        tried = afar.in_turn(self.clouds, self.settings, self.profile(), self._labs_at_home())
        if not tried:
            raise self._refused(Refusal("no-room", "as many labs as the settings allow are in each of its clusters"))
        for cluster in tried:
            self._go_to(cluster)
            try:
                await afar.alone(self.clouds, cluster, self.pod_name)
                url = await self._start_here(None if cluster == tried[-1] else self.settings.labs.next_cluster_after)
                break
            except UNANSWERED as error:
                if cluster == tried[-1] and self.cloud is None:
                    raise
                self.clouds.refuse(cluster)
                log.warning("the cluster %s does not take the lab of %s: %r", cluster, self.user.name, error)
                if cluster == tried[-1]:
                    raise LabRefused("unreachable", f"the cluster {cluster} does not answer: {error!r}") from error
            except LabRefused as error:
                if error.code not in afar.OF_THE_PLACE or cluster == tried[-1]:
                    raise
                self.clouds.refuse(cluster)
                await self._leave()
        self._alive = True
        self.journal.append("started", self.user.name, self.lab, profile=self.user_options.get(profiles.FIELD), cluster=self.cluster)
        return url

    async def _start_here(self, patience: float | None) -> str:
        """Start it in the cluster it went to; LabRefused of `no-room` where there was none for `patience` seconds."""
        await self._home()
        making = asyncio.ensure_future(super()._start())
        room = afar.Patience(patience)
        try:
            while not making.done():
                await asyncio.wait({making}, timeout=_LOOK_SECONDS)
                self._hopeless()
                if room.is_over(reasons.stage(self._pod(), self._events()).key == "room"):
                    raise self._refused(reasons.late(self._pod(), self._events()))
            url: str = await making
            await self._listens()
        finally:
            making.cancel()
        return url

    async def _leave(self) -> None:
        """Take back the pod that did not start, before the lab starts elsewhere; where that cannot be said now, `reconcile` sees to it."""
        try:
            await super().stop(now=True)
        except UNANSWERED as error:
            log.warning("the pod %s may be left in the cluster %s: %r", self.pod_name, self.cluster, error)

    def _labs_at_home(self) -> set[str]:
        reflector = self.reflectors.get(("pods", self.release.namespace))
        return {pod["metadata"]["name"] for pod in reflector.pods.values()} if reflector else set()

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
            claim = await self.api.read_namespaced_persistent_volume_claim(self.pvc_name, self.namespace, _request_timeout=10)
        except ApiException as error:
            if error.status != 404:
                raise
            self._pvc_exists = False
            return
        self._pvc_exists = True
        size = self.settings.storage.home.size
        if (quantity(claim.spec.resources.requests.get("storage", "0")) or 0) < size:
            grown = {"spec": {"resources": {"requests": {"storage": str(size)}}}}
            try:
                await self.api.patch_namespaced_persistent_volume_claim(self.pvc_name, self.namespace, grown)
                log.info("the home of %s grows to %s bytes", self.user.name, size)
            except ApiException as error:
                log.warning("the home of %s cannot grow to %s bytes: %s", self.user.name, size, error.reason)

    async def _listens(self) -> None:
        """Return once the lab takes connections; LabRefused where its server ends before."""
        address = self.address()
        if self.cloud:
            await afar.listens(self.cloud, self.proxy_spec, str(address), self.user.name, self._hopeless)
            return
        while True:
            self._hopeless()
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(address, LAB_PORT), 2)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self, now: bool = False) -> None:
        """Remove the pod; returns once it is gone. The home stays.

        One of UNANSWERED where its cluster does not answer; JupyterHub forgets the lab all the same, and `reconcile` removes the pod when it does.
        """
        if self._alive and not reasons.terminated(self._pod()):
            self._ended(self.stop_reason)
        if self.cloud:
            await self.cloud.pods()
        await super().stop(now)

    async def poll(self) -> int | None:
        """None while the lab runs or starts, or nobody can say; else why it ended is remembered first."""
        if self.cloud and self.pod_reflector is None:
            return None if self._alive else 1
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
        cluster = HOME
        starting = self._start_future
        while starting is not None and not starting.done():
            if self.cluster != cluster and self.cloud:
                yield {"progress": 5, "message": text(f"stage.elsewhere.{self.cloud.settings.homes}", cluster=self.cluster)}
            cluster = self.cluster
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

    def address(self) -> str | None:
        """The address of the lab's pod in its cluster, None while it has none."""
        found: str | None = ((self._pod() or {}).get("status") or {}).get("podIP")
        return found

    def _get_pod_url(self, pod: reasons.Pod) -> str:
        """Where hub and proxy reach the lab: its pod, and in another cluster the public address there."""
        return self.cloud.settings.url if self.cloud else str(super()._get_pod_url(pod))

    def _server(self) -> Any:
        """JupyterHub's idea of where the lab is. It ends a lab that does not answer it after a restart of the hub; in another cluster that says nothing."""
        found = KubeSpawner.server.fget(self)
        if found is not None and self.cloud:
            found.wait_up = afar.is_up
        return found

    server = property(_server, KubeSpawner.server.fset)

    @property
    def pod_reflector(self) -> Any:
        """What is known of the pods of the lab's cluster, None where nothing is yet."""
        return self.cloud.watch("pods") if self.cloud else super().pod_reflector

    @property
    def event_reflector(self) -> Any:
        """The same of events."""
        return self.cloud.watch("events") if self.cloud else super().event_reflector

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
        """KubeSpawner's, but a watch of one namespace that gives up ends the hub as well; another cluster's is begun elsewhere, and its end is nobody's."""
        if self.cloud:
            found: ResourceReflector | None = self.cloud.watch(kind)
            if found is None:
                raise CloudSilent(f"the cluster {self.cluster} has not answered yet")
            return found
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
