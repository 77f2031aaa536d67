"""`login.method` made into JupyterHub's settings: which authenticator, and its traits."""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from tornado.httputil import HTTPServerRequest

from elabs.config.model import Config, Login
from elabs.config.state import State
from elabs.hub.login import ldap as directory
from elabs.hub.login.attempts import Attempts
from elabs.hub.login.demo import DemoAuthenticator
from elabs.hub.login.guard import guarded
from elabs.hub.login.ldap import LdapAuthenticator


def authenticator(login: Login, address_of: Callable[[HTTPServerRequest], str]) -> type[Authenticator]:
    """The class of the method, behind the guard; `address_of` tells from which address a person's request comes."""
    own: dict[str, type[Authenticator]] = {"demo": DemoAuthenticator, "ldap": LdapAuthenticator}
    base = own.get(login.method) or registered(login.oauth["class"] if login.method == "oauth" else login.method)
    attempts = Attempts(login.attempts.limit, login.attempts.within)
    return guarded(base, attempts, lambda handler: address_of(handler.request), form=login.method != "oauth")


def configure(c: Any, config: Config, state: State) -> None:
    """Set the traits of the method's authenticator. Only sets."""
    login, secrets = config.login, state.hub / "secrets"
    c.Authenticator.refresh_pre_stop = True
    if login.method == "oauth":
        _oauth(c, login.oauth, secrets / "oauth_secret", config.site.url)
        return
    c.Authenticator.allow_all = True
    if login.method == "demo":
        c.Authenticator.manage_groups = True
        c.DemoAuthenticator.accounts = str(state.hub / "demo.json")
    elif login.method == "ldap" and (ldap := login.ldap):
        c.Authenticator.manage_groups = True
        traits = c.LdapAuthenticator
        traits.server_address, traits.server_port, traits.tls_strategy = ldap.server, directory.port(ldap), directory.STRATEGIES[ldap.security]
        traits.valid_username_regex = ".+"
        traits.lookup_dn = not ldap.bind_template
        traits.bind_dn_template = ldap.bind_template
        traits.user_search_base = ldap.search_base
        traits.lookup_dn_search_filter = ldap.search_filter
        traits.lookup_dn_search_user = ldap.search_user
        traits.lookup_dn_search_password = _secret(secrets / "ldap_password") if ldap.search_user else None
        traits.seconds, traits.ca = ldap.timeout, str(secrets / "ldap_ca") if ldap.ca else ""
        traits.group_base, traits.group_filter, traits.group_name = ldap.group_base or ldap.search_base or "", ldap.group_filter, ldap.group_name
        traits.allowed_group, traits.admin_group = ldap.allowed_group or "", ldap.admin_group or ""
        traits.name_attribute = directory.name_attribute(ldap)


def _oauth(c: Any, given: dict[str, Any], secret: Path, url: str | None) -> None:
    traits = c[registered(given["class"]).__name__]
    if url:
        traits.oauth_callback_url = f"{url.rstrip('/')}/hub/oauth_callback"
    if "client_secret_file" in given:
        traits.client_secret = _secret(secret)
    for name, value in given.items():
        if name not in ("class", "client_secret_file"):
            setattr(traits, name, set(value) if isinstance(value, list) and name.startswith(("allowed_", "admin_", "blocked_")) else value)


def registered(name: str) -> type[Authenticator]:
    """The authenticator that a package registered under that name. LookupError where none did."""
    for found in entry_points(group="jupyterhub.authenticators", name=name):
        loaded: type[Authenticator] = found.load()
        return loaded
    raise LookupError(f"there is no authenticator {name!r}")


def _secret(path: Path) -> str:
    return path.read_text(encoding="utf-8").removesuffix("\n")
