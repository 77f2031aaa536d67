"""The further clusters of a hub: to each one client of its API, made of its kubeconfig alone, one watch of its labs, and its proxy.

A cluster that does not answer is no news of its labs: what was last seen of them stays true, and before anything was seen, labs count as running. So nothing
here ever forgets what it saw, and a watch that ends is begun anew until it holds, without the hub ending as it does for its own cluster's.

All of it runs on the hub's one event loop.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import yaml  # type: ignore[import-untyped]
from jupyterhub.proxy import ConfigurableHTTPProxy
from kubernetes_asyncio.client import ApiClient, ApiException, CoreV1Api
from kubernetes_asyncio.config import ConfigException
from kubernetes_asyncio.config.kube_config import new_client_from_config_dict
from kubespawner.reflector import ResourceReflector
from kubespawner.spawner import EventReflector, PodReflector

from elabs.config.clusters import Cluster
from elabs.runtime.kubernetes.labs import COMPONENT, Release

log = logging.getLogger("elabs.hub")
REFUSED_SECONDS = 60.0
"""How long a cluster without room, or without an answer, is tried last."""
_ANSWER_SECONDS = 5.0
_AGAIN_SECONDS = 5.0
_GONE_SECONDS = 15.0
_LOOK_SECONDS = 0.1
_WATCHES: dict[str, tuple[type[ResourceReflector], dict[str, dict[str, str]]]] = {
    "pods": (PodReflector, {"labels": {"component": COMPONENT}}),
    "events": (EventReflector, {"fields": {"involvedObject.kind": "Pod"}}),
}
UNANSWERED = (OSError, TimeoutError, aiohttp.ClientError, ApiException)
"""What is raised where a cluster cannot be asked, or does not do what it is asked."""


class CloudSilent(OSError):
    """A cluster that has not answered yet."""


class Cloud:
    """One further cluster; `folder` has its `kubeconfig` and `proxy_token`, `keys` is for what the client has to have as files."""

    def __init__(self, name: str, settings: Cluster, folder: Path, keys: Path) -> None:
        self.name, self.settings, self._folder, self._keys = name, settings, folder, keys
        self.release = Release(settings.release, settings.namespace, settings.priority_class)
        self._client: ApiClient | None = None
        self._watches: dict[str, ResourceReflector] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._seen = asyncio.Event()
        self._proxy: ConfigurableHTTPProxy | None = None
        self._trouble: dict[str, str | None] = {}

    @property
    def core(self) -> CoreV1Api:
        """Its API. CloudSilent before the kubeconfig could be used."""
        if self._client is None:
            raise CloudSilent(f"the cluster {self.name} has not answered yet")
        return CoreV1Api(self._client)

    @property
    def proxy(self) -> ConfigurableHTTPProxy:
        """The API of its proxy. OSError where the token cannot be read."""
        if self._proxy is None:
            token = (self._folder / "proxy_token").read_text(encoding="utf-8").strip()
            self._proxy = ConfigurableHTTPProxy(api_url=self.settings.proxy_api, auth_token=token, should_start=False)
        return self._proxy

    def watch(self, kind: str) -> ResourceReflector | None:
        """What is known of its `pods` or `events`; None before it answered for the first time."""
        return self._watches.get(kind)

    def labs(self) -> set[str]:
        """Names of the pods of labs there, as far as is known."""
        watch = self.watch("pods")
        return {str(pod["metadata"]["name"]) for pod in watch.resources.values()} if watch else set()

    async def pods(self) -> list[Any]:
        """The pods of labs, asked just now. One of UNANSWERED where it cannot be."""
        listed = await self.core.list_namespaced_pod(self.settings.namespace, label_selector=f"component={COMPONENT}", _request_timeout=_ANSWER_SECONDS)
        return list(listed.items)

    async def remove(self, pod: str) -> None:
        """Remove a pod and return once it is gone. One of UNANSWERED where that cannot be."""
        try:
            await self.core.delete_namespaced_pod(pod, self.settings.namespace, grace_period_seconds=0, _request_timeout=_ANSWER_SECONDS)
        except ApiException as error:
            if error.status != 404:
                raise
        async with asyncio.timeout(_GONE_SECONDS):
            while pod in self.labs():
                await asyncio.sleep(_LOOK_SECONDS)

    async def start(self, seconds: float) -> None:
        """Begin to watch, and give it `seconds` to answer."""
        self._tasks = [asyncio.ensure_future(self._keep_watching(kind)) for kind in _WATCHES]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._seen.wait(), seconds)

    async def _keep_watching(self, kind: str) -> None:
        """Begin the watch anew whenever it has given up; the last one stays to be looked at until the next has seen everything."""
        while True:
            try:
                watch = await self._begin(kind)
            except Exception as error:  # whatever it is, the cluster is not to be watched now
                self.say(kind, f"its {kind} cannot be watched: {getattr(error, 'reason', None) or error!r}")
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            self.say(kind, None)
            self._watches[kind] = watch
            if kind == "pods":
                self._seen.set()
            await asyncio.wait({watch.watch_task})

    async def _begin(self, kind: str) -> ResourceReflector:
        if self._client is None:
            self._client = await client(self._folder / "kubeconfig", self._keys)
        reflector, about = _WATCHES[kind]
        watch = reflector(namespace=self.settings.namespace, **about)
        watch.api = self.core
        watch.first_load_future.add_done_callback(lambda loaded: loaded.exception())
        await asyncio.wait_for(watch.start(), _ANSWER_SECONDS)
        return watch

    def say(self, subject: str, trouble: str | None) -> None:
        """Tell the log, once, that there is trouble with its `pods`, `events` or `proxy`, or no longer any."""
        if trouble != self._trouble.get(subject):
            log.log(logging.WARNING if trouble else logging.INFO, "cluster %s: %s", self.name, trouble or f"its {subject} can be asked")
        self._trouble[subject] = trouble


class Clouds:
    """All further clusters, and which clusters, `home` among them, refused a lab a moment ago."""

    def __init__(self, clouds: Iterable[Cloud] = ()) -> None:
        self._clouds = {cloud.name: cloud for cloud in clouds}
        self._refused: dict[str, float] = {}

    def __iter__(self) -> Any:
        return iter(self._clouds.values())

    def get(self, name: str) -> Cloud | None:
        """The further cluster of that name; None for the hub's own, and for one that the settings do not have."""
        return self._clouds.get(name)

    def refuse(self, name: str) -> None:
        """It had no room, or did not answer."""
        self._refused[name] = time.monotonic()

    def refused(self, name: str) -> bool:
        """Whether that was a moment ago."""
        return name in self._refused and time.monotonic() - self._refused[name] < REFUSED_SECONDS

    async def start(self, seconds: float) -> None:
        """Begin to watch all of them, and give them `seconds` to answer."""
        await asyncio.gather(*(cloud.start(seconds) for cloud in self._clouds.values()))


async def client(kubeconfig: Path, keys: Path) -> ApiClient:
    """A client of the cluster that the file names; `keys` is a folder for what has to be a file. OSError in one line where it cannot be used.

    The library's global configuration, which is that of the hub's own cluster, is neither read nor changed.
    """
    try:
        read = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        if text := wrong(read):
            raise OSError(text)
        made: ApiClient = await new_client_from_config_dict(read, temp_file_path=str(keys))
    except (yaml.YAMLError, ConfigException, KeyError, TypeError) as error:
        raise OSError(f"its kubeconfig cannot be read: {error!r}") from None
    return made


def wrong(kubeconfig: Any) -> str | None:
    """What a kubeconfig may not be, in one line; None where nothing is wrong with it."""
    if not isinstance(kubeconfig, dict):
        return "its kubeconfig is no mapping of YAML"
    for entry in kubeconfig.get("clusters") or []:
        cluster = entry.get("cluster") or {}
        if cluster.get("insecure-skip-tls-verify") or not str(cluster.get("server", "")).startswith("https://"):
            return "its kubeconfig does not verify who answers; give certificate-authority-data and a server with https"
    for entry in kubeconfig.get("users") or []:
        user = entry.get("user") or {}
        if "exec" in user or "auth-provider" in user:
            return "its kubeconfig calls a program for a token, which the hub's image has not; give a token or a client certificate"
    return None
