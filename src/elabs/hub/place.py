"""Where a hub runs: all that one machine and a cluster do differently, but for how they make labs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from elabs.config.model import Config
from elabs.config.state import State
from elabs.runtime.protocol import HUB_PORT, PROXY_API_PORT
from elabs.storage.ids import Instance


@dataclass(frozen=True)
class Place:
    """Addresses, the folder of what is kept, and whom the hub believes about where a request came from."""

    state: State
    """Its `hub` folder holds the hub's copies of secrets."""
    kept: Path
    """Folder of what must outlive the hub: database and cookie secret."""
    hub_url: str
    """Where the hub listens."""
    hub_url_for_others: str
    """Where labs, services and proxy reach it."""
    proxy_url: str
    """Where the proxy listens for people, as JupyterHub wants it said."""
    proxy_api: str
    """Where the hub reaches the proxy's API."""
    secure_cookies: bool
    """Whether browsers may send the hub's cookies over https alone."""
    is_proxy: Callable[[str], bool]
    """Whether a request from that address came through our proxy."""
    proxies_before: int = 0
    """Proxies in front of ours, each of which appends the address that it heard to X-Forwarded-For."""


def on_one_machine(config: Config, state: State, instance: Instance) -> Place:
    """The place of an instance of `elabs up`. The proxy is on the hub's machine, so it comes from the very address that it asks, or from 127.0.0.1."""
    url = f"http://{instance.gateway}:{HUB_PORT}"
    return Place(
        state=state,
        kept=state.hub,
        hub_url=url,
        hub_url_for_others=url,
        proxy_url=f"{'https' if config.site.tls else 'http'}://{config.site.listen}/",
        proxy_api=f"http://{instance.api}:{PROXY_API_PORT}",
        secure_cookies=config.site.tls is not None,
        is_proxy=frozenset({instance.gateway, "127.0.0.1"}).__contains__,
    )
