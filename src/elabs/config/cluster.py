"""What settings that are right still lack for a cluster: pairs of a setting and one line. `elabs config check --for kubernetes` tells them before anything is
applied, and the chart refuses them.
"""

from collections.abc import Iterator

from elabs.config.clusters import of_outpost
from elabs.config.document import Where
from elabs.config.given import given
from elabs.config.model import Config

_SETTING: dict[str, Where] = {
    "ldap_password": ("login", "ldap", "search_password_file"),
    "ldap_ca": ("login", "ldap", "ca"),
    "oauth_secret": ("login", "oauth", "client_secret_file"),
    "certificate.pem": ("site", "tls", "certificate"),
    "key.pem": ("site", "tls", "key"),
    "authorities.pem": ("kubernetes", "ca"),
}
KEPT = "sqlite:////var/lib/elabs/"
"""How a database URL starts whose file is on the hub's volume."""


def lacks(config: Config) -> list[tuple[Where, str]]:
    """Everything that keeps the settings from working in a cluster."""
    return [*_files(config), *_entrance(config), *of_outpost(config.clusters, config.kubernetes, config.site.tls is not None), *_others(config)]


def secret_keys(config: Config) -> dict[str, str]:
    """The files that the Secret `kubernetes.files` must hold: path by key."""
    found = {path.name: str(path) for path in given(config).values()}
    if config.hub.snippets:
        found |= {path.name: str(path) for path in sorted(config.hub.snippets.glob("*.py"))}
    return found


def _files(config: Config) -> Iterator[tuple[Where, str]]:
    named: dict[str, Where] = {}
    for name, path in given(config).items():
        where = _SETTING[name]
        if path.name in named:
            yield where, f"its file has the same name, {path.name}, as that of {'.'.join(map(str, named[path.name]))}; a Secret has one key of each name"
        named[path.name] = where
    if config.hub.snippets:
        named.setdefault("*.py", ("hub", "snippets"))
    if config.kubernetes.files is None:
        for where in named.values():
            yield where, "names a file, and kubernetes.files no secret that holds it"


def _entrance(config: Config) -> Iterator[tuple[Where, str]]:
    cluster = config.kubernetes
    for name in ("ingress", "gateway"):
        if getattr(cluster, name) is not None and config.site.url is None:
            yield ("kubernetes", name), "needs site.url, the name that people type"
    if cluster.ingress and cluster.gateway:
        yield ("kubernetes", "gateway"), "kubernetes.ingress is given too; give one of them"


def _others(config: Config) -> Iterator[tuple[Where, str]]:
    if config.login.method == "pam":
        yield ("login", "method"), "is pam, but a cluster has no accounts of its own; use ldap or oauth"
    database = config.hub.database
    if database and database.startswith("sqlite") and not database.startswith(KEPT):
        yield ("hub", "database"), f"a file in a pod is gone with it; leave it out, or write {KEPT}NAME, which is on the hub's volume"
    orders = [profile.order for profile in config.profiles.values()]
    if sorted(config.profiles) != list(config.profiles) and len(set(orders)) < len(orders):
        yield ("profiles",), "Helm sorts names, so the order of this file is lost; give each profile an `order`"
