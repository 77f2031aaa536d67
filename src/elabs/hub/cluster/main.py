"""`python -m elabs.hub.cluster`: the hub of a release. The chart says by environment variables what it cannot know by itself:

- `ELABS_RELEASE`, `ELABS_NAMESPACE`: whose hub it is; `ELABS_PRIORITY_CLASS`: of labs
- `ELABS_HUB_URL`, `ELABS_PROXY_API`: where others reach the hub, and it the proxy
- `ELABS_PROXY_HOST`: the headless Service whose addresses are the proxy's pods
- `ELABS_SETTINGS`: the file with the settings; `ELABS_FILES`: the folder of files that it names
- `ELABS_SECRETS`, `ELABS_DEMO`: folders of the release's tokens and demo accounts
- `ELABS_CLUSTERS`: a folder with one of each further cluster, with `kubeconfig` and `proxy_token`
- `ELABS_STATE`: a folder in memory; `ELABS_KEPT`: the volume
"""

import asyncio
import json
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes_asyncio.client
from kubespawner.clients import load_config, shared_client
from tornado.ioloop import PeriodicCallback
from traitlets.config import Config as Traits

from elabs.config.clusters import HOME
from elabs.config.given import FOR_THE_HUB, given
from elabs.config.load import ConfigError, from_values
from elabs.config.model import Config
from elabs.config.state import State
from elabs.hub.app import Hub, run
from elabs.hub.cluster import routes
from elabs.hub.cluster.clouds import UNANSWERED, Cloud, Clouds
from elabs.hub.cluster.headroom import keep
from elabs.hub.cluster.spawner import ClusterSpawner, check_watches, open_journal
from elabs.hub.configure import SnippetError, any_labs, configure
from elabs.hub.login.hashes import hash_password
from elabs.hub.place import Place
from elabs.runtime.kubernetes.labs import COMPONENT, Release
from elabs.runtime.protocol import HUB_PORT

_PROXY_SECONDS = 10.0
"""How often the proxy's addresses are asked for."""
_WATCHES_SECONDS = 5.0
_HEADROOM_SECONDS = 30.0
_ROUTES_SECONDS = 5.0
"""How soon the routes to labs in another cluster are back after a restart of the proxy there."""
_CLOUDS_SECONDS = 10.0
"""How long the start of the hub waits for other clusters; labs of those that did not answer count as running."""


class ProxyAddresses:
    """The addresses of the proxy's pods, kept fresh off the event loop; a lab's requests come from others."""

    def __init__(self, host: str) -> None:
        self.host, self._known = host, frozenset[str]()

    def __contains__(self, address: str) -> bool:
        return address in self._known

    async def refresh(self) -> None:
        """Ask the cluster's names; what was known stays where they do not answer."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
        except OSError:
            return
        self._known = frozenset(str(entry[4][0]) for entry in found)


class ClusterHub(Hub):
    """JupyterHub for one release of the chart."""

    proxy_addresses: ProxyAddresses

    async def last_end(self, person: str) -> dict[str, Any]:
        """As the journal on the hub's volume has it."""
        event = open_journal(self.config.ClusterSpawner.journal_path).last_end(person)
        return {"reason": event.reason, "detail": event.detail, "time": event.time} if event else {}

    async def init_spawners(self) -> int:
        """First of all the cluster has to answer: a lab that cannot be asked after would count as stopped, and be forgotten."""
        await self.proxy_addresses.refresh()
        await self.labs_are_known()
        await ClusterSpawner.clouds.start(_CLOUDS_SECONDS)
        count = await super().init_spawners()
        self._often = [
            PeriodicCallback(self.proxy_addresses.refresh, _PROXY_SECONDS * 1000),
            PeriodicCallback(check_watches, _WATCHES_SECONDS * 1000),
            PeriodicCallback(self._keep_headroom, _HEADROOM_SECONDS * 1000),
            *(PeriodicCallback(partial(self._keep_routes, cloud), _ROUTES_SECONDS * 1000) for cloud in ClusterSpawner.clouds),
        ]
        for often in self._often:
            often.start()
        return count

    async def _keep_headroom(self) -> None:
        section = self.config.ClusterSpawner
        await keep(section.settings, section.release)

    async def _keep_routes(self, cloud: Cloud) -> None:
        if not await routes.keep(cloud, [spawner for user in self.users.values() for spawner in user.spawners.values()]):
            ClusterSpawner.clouds.refuse(cloud.name)

    async def labs_are_known(self) -> None:
        """Once the cluster's API answers, however long that takes."""
        load_config()
        tries = 0
        while True:
            try:
                await self._pods()
                return
            except (*UNANSWERED, ValueError) as error:  # ValueError: half an answer, of a server that is starting
                if tries % 10 == 0:
                    self.log.warning("waiting for the cluster's API: %r", error)
            tries += 1
            await asyncio.sleep(1)

    async def reconcile(self) -> None:
        """Remove the pods of labs that no person of the hub's has: left where the hub was ended between asking for a pod and writing it down."""
        try:
            await self._compare(HOME, self._api(), self._release.namespace, await self._pods())
        except UNANSWERED as error:
            self.log.warning("labs could not be compared with the cluster's: %r", error)
        for cloud in ClusterSpawner.clouds:
            try:
                await self._compare(cloud.name, cloud.core, cloud.settings.namespace, await cloud.pods())
            except UNANSWERED as error:
                self.log.warning("labs could not be compared with those of the cluster %s: %r", cloud.name, error)

    async def _compare(self, cluster: str, api: kubernetes_asyncio.client.CoreV1Api, namespace: str, pods: list[Any]) -> None:
        for pod in pods:
            person = (pod.metadata.annotations or {}).get("hub.jupyter.org/username")
            if person is not None and not self.has(person, partial(_is_its_pod, pod.metadata.name, cluster)):
                self.log.warning("removing the pod %s of the cluster %s, which the hub does not know", pod.metadata.name, cluster)
                await api.delete_namespaced_pod(pod.metadata.name, namespace)

    @property
    def _release(self) -> Release:
        release: Release = self.config.ClusterSpawner.release
        return release

    def _api(self) -> kubernetes_asyncio.client.CoreV1Api:
        client: kubernetes_asyncio.client.CoreV1Api = shared_client("CoreV1Api")
        return client

    async def _pods(self) -> list[Any]:
        listed = await self._api().list_namespaced_pod(self._release.namespace, label_selector=f"component={COMPONENT}", _request_timeout=10)
        return list(listed.items)


def _is_its_pod(pod: str, cluster: str, spawner: Any) -> bool:
    return bool(spawner.pod_name == pod and spawner.cluster == cluster)


def labs_of_the_cluster(c: Any, config: Config, release: Release, journal: str) -> None:
    """Labs that KubeSpawner makes; `journal` is the path of the journal's file."""
    c.JupyterHub.spawner_class = ClusterSpawner
    section = c.ClusterSpawner
    any_labs(section, config)
    section.release, section.journal_path = release, journal
    section.component_label = COMPONENT
    section.poll_interval = 2
    section.delete_grace_period = 10


def clouds(config: Config, given_by_release: Path, state: State) -> Clouds:
    """The further clusters of the settings, each with its folder below that of the release."""
    return Clouds(Cloud(name, cluster, given_by_release / name, state.hub / "clouds" / name) for name, cluster in config.clusters.items())


def place(config: Config, state: State, environment: dict[str, str], proxy: ProxyAddresses) -> Place:
    """The place of a release, as the chart tells it."""
    behind = config.kubernetes.ingress is not None or config.kubernetes.gateway is not None
    encrypted = config.site.tls is not None or (config.site.url or "").startswith("https:")
    return Place(
        state=state,
        kept=Path(environment["ELABS_KEPT"]),
        hub_url=f"http://0.0.0.0:{HUB_PORT}",
        hub_url_for_others=environment["ELABS_HUB_URL"],
        proxy_url=f"{'https' if encrypted else 'http'}://0.0.0.0/",
        proxy_api=environment["ELABS_PROXY_API"],
        secure_cookies=encrypted,
        is_proxy=proxy.__contains__,
        proxies_before=1 if behind else 0,
    )


def secrets(config: Config, given_by_release: Path, own: Path) -> None:
    """Put what the hub reads into its own folder, which is in memory: the release's tokens, and the files that the settings name."""
    own.mkdir(parents=True, exist_ok=True)
    wanted = {name: given_by_release / name for name in ("proxy_token", "status_token")}
    wanted |= {name: path for name, path in given(config).items() if name in FOR_THE_HUB}
    for name, path in wanted.items():
        (own / name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")


def demo_accounts(given: Path, accounts: Path) -> None:
    """Write the demo directory's accounts with hashed passwords; `given` has a file a person, `NAME` or `NAME.admin`, with the password."""
    found = {}
    for file in sorted(given.iterdir()):
        if not file.name.startswith("."):
            name, _, role = file.name.partition(".")
            found[name] = {"hash": hash_password(file.read_text(encoding="utf-8").strip()), "admin": role == "admin"}
    accounts.write_text(json.dumps(found), encoding="utf-8")


def main() -> None:
    """Run the hub. Ends with status 2 and a line for each thing that is wrong where it cannot be configured."""
    environment, traits = dict(os.environ), Traits()
    os.umask(0o077)
    try:
        state = State(Path(environment["ELABS_STATE"]))
        config = from_values(Path(environment["ELABS_SETTINGS"]), files=Path(environment["ELABS_FILES"]))
        secrets(config, Path(environment["ELABS_SECRETS"]), state.hub / "secrets")
        if config.login.method == "demo":
            demo_accounts(Path(environment["ELABS_DEMO"]), state.hub / "demo.json")
        release = Release(environment["ELABS_RELEASE"], environment["ELABS_NAMESPACE"], environment.get("ELABS_PRIORITY_CLASS") or None)
        proxy = ProxyAddresses(environment["ELABS_PROXY_HOST"])
        authorities = config.kubernetes.ca.read_text(encoding="utf-8") if config.kubernetes.ca else ""
        journal = str(Path(environment["ELABS_KEPT"]) / "journal.sqlite")
        configure(traits, config, place(config, state, environment, proxy), partial(labs_of_the_cluster, config=config, release=release, journal=journal))
        ClusterSpawner.clouds = clouds(config, Path(environment["ELABS_CLUSTERS"]), state)
    except KeyError as error:
        print(f"elabs hub: the variable {error} is not set; the chart sets it", file=sys.stderr)
        sys.exit(2)
    except (OSError, SnippetError, ConfigError) as error:
        print("\n".join(f"elabs hub: {line}" for line in str(error).splitlines()), file=sys.stderr)
        sys.exit(2)
    ClusterHub.proxy_addresses = proxy
    ClusterSpawner.authorities = authorities
    run(ClusterHub, traits)
