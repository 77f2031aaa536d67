"""`login` made into JupyterHub's settings."""

from pathlib import Path
from typing import Any

import pytest
from jupyterhub.auth import PAMAuthenticator
from ldapauthenticator import LDAPAuthenticator
from ldapauthenticator.ldapauthenticator import TlsStrategy
from oauthenticator.generic import GenericOAuthenticator
from traitlets.config import Config as Traits

from elabs.config.model import Config, Ldap
from elabs.config.state import State
from elabs.hub.login import ldap as directory
from elabs.hub.login.demo import DemoAuthenticator
from elabs.hub.login.methods import authenticator, configure

BASE = "ou=people,dc=example,dc=org"


def made(tmp_path: Path, login: dict[str, Any], site: dict[str, Any] | None = None) -> tuple[Any, Traits]:
    state = State(tmp_path)
    (state.hub / "secrets").mkdir(parents=True)
    (state.hub / "secrets/ldap_password").write_text("search me\n")
    (state.hub / "secrets/oauth_secret").write_text("hidden\n")
    (tmp_path / "secret").write_text("x")
    config = Config.model_validate({"login": login, "site": site or {}})
    traits = Traits()
    configure(traits, config, state)
    return authenticator(config.login, lambda request: "203.0.113.7")(config=traits), traits


def test_demo(tmp_path: Path) -> None:
    found, traits = made(tmp_path, {})
    assert isinstance(found, DemoAuthenticator)
    assert found.accounts == str(tmp_path / "hub/demo.json")
    assert (found.allow_all, found.manage_groups, found.refresh_pre_stop) == (True, True, True)


def test_ldap_with_a_template(tmp_path: Path) -> None:
    found, _ = made(
        tmp_path, {"ldap": {"server": "ldap.example.org", "bind_template": [f"uid={{username}},{BASE}"], "group_base": "ou=groups,dc=example,dc=org"}}
    )
    assert isinstance(found, LDAPAuthenticator)
    assert (found.server_address, found.server_port, found.tls_strategy) == ("ldap.example.org", 389, TlsStrategy.before_bind)
    assert (found.lookup_dn, found.bind_dn_template, found.lookup_dn_search_password) == (False, [f"uid={{username}},{BASE}"], None)
    assert (found.group_base, found.allowed_group, found.seconds, found.name_attribute) == ("ou=groups,dc=example,dc=org", "", 10, "uid")


def test_ldap_with_a_search(tmp_path: Path) -> None:
    settings = {
        "server": "ldap.example.org",
        "security": "ldaps",
        "ca": "/root/ca.pem",
        "search_base": BASE,
        "search_user": "cn=s",
        "search_password_file": str(tmp_path / "secret"),
    }
    found, _ = made(
        tmp_path, {"ldap": settings | {"search_filter": "(&(objectClass=person)(sAMAccountName={username}))", "timeout": "3s", "admin_group": "it"}}
    )
    assert (found.server_port, found.tls_strategy, found.lookup_dn) == (636, TlsStrategy.on_connect, True)
    assert found.ca == str(tmp_path / "hub/secrets/ldap_ca"), "the hub cannot read root's"
    assert (found.lookup_dn_search_user, found.lookup_dn_search_password) == ("cn=s", "search me")
    assert (found.group_base, found.admin_group, found.seconds, found.name_attribute) == (BASE, "it", 3, "sAMAccountName")


def test_pam(tmp_path: Path) -> None:
    found, _ = made(tmp_path, {"method": "pam"})
    assert isinstance(found, PAMAuthenticator)
    assert (found.allow_all, found.manage_groups) == (True, False)


def test_oauth(tmp_path: Path) -> None:
    oauth = {
        "class": "generic-oauth",
        "client_id": "elabs",
        "client_secret_file": str(tmp_path / "secret"),
        "allowed_users": ["lince"],
        "scope": ["openid"],
        "authorize_url": "https://id.example.org/a",
    }
    found, _ = made(tmp_path, {"oauth": oauth}, {"url": "https://lab.example.org"})
    assert isinstance(found, GenericOAuthenticator)
    assert (found.client_id, found.client_secret, found.allowed_users, found.scope) == ("elabs", "hidden", {"lince"}, ["openid"])
    assert found.oauth_callback_url == "https://lab.example.org/hub/oauth_callback"
    assert found.allow_all is False, "who has an account over there may not simply enter"


@pytest.mark.parametrize(("filter_", "attribute"), [("(uid={username})", "uid"), ("(|(mail={username})(uid={username}))", "mail"), ("(cn=*{username})", "")])
def test_the_attribute_of_names_is_read_from_the_filter(filter_: str, attribute: str) -> None:
    assert directory.name_attribute(Ldap(server="x", search_base=BASE, search_filter=filter_)) == attribute


def test_filters_are_filled_escaped_in_one_pass() -> None:
    filled = directory._fill("(|(member={dn})(memberUid={username}))", dn="uid={username},o=*", username="a)(uid=*")
    assert filled == "(|(member=uid={username},o=\\2a)(memberUid=a\\29\\28uid=\\2a))"
