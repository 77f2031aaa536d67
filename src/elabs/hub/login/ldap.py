"""The institute's directory: JupyterHub's LDAPAuthenticator, with certificates verified, time limits, groups, and every call off the hub's loop.

Of LDAPAuthenticator we keep how a login goes (find the person, bind as them) and replace how connections are made. Its methods call each other within one
thread; what belongs to one login (its connections, who searches) is in a context variable, so that logins never share any of it. A login that takes too long is
given up and its sockets are closed, which ends the thread's wait.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPOperationResult
from ldap3.utils.conv import escape_filter_chars
from ldapauthenticator import LDAPAuthenticator
from ldapauthenticator.ldapauthenticator import TlsStrategy
from traitlets import Integer, Unicode

from elabs.config.model import Ldap
from elabs.hub.login.guard import DirectoryDown, NotAllowed
from elabs.hub.login.names import normal
from elabs.hub.login.off_loop import OffLoop
from elabs.hub.roles import ADMINISTRATORS

_REFUSALS = {32, 34, 48, 49, 50, 53}
"""Result codes of a bind that mean: not this name with this password (no such object, not a DN, inappropriate, wrong, not permitted, unwilling)."""
_LONGEST_GROUP = 255


class VerifiedTls(ldap3.Tls):  # type: ignore[misc]
    """TLS with Python's own check of certificate and host name, in place of ldap3's."""

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Wrap the connection's socket and shake hands."""
        context = ssl.create_default_context(cafile=self.ca_certs_file)
        # Python 3.13 refuses certificates without key usage or identifiers, which many an institute's authority does not write; Debian 12's Python does not ask
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        connection.socket = context.wrap_socket(connection.socket, server_hostname=connection.server.host)


@dataclass
class _Login:
    """One login under way."""

    name: str
    searching: bool = False
    """Whether it is the search account that binds."""
    searcher: Any = None
    connections: list[Any] = field(default_factory=list)

    def close(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(OSError, LDAPException, AttributeError):
                connection.strategy.close()

    def abort(self) -> None:
        """Called from another thread: end whatever the login waits for."""
        for connection in self.connections:
            with contextlib.suppress(OSError, AttributeError):
                connection.socket.shutdown(socket.SHUT_RDWR)


_login: ContextVar[_Login] = ContextVar("elabs_ldap_login")


class LdapAuthenticator(LDAPAuthenticator):  # type: ignore[misc]
    """Asks the directory who somebody is and which groups they are in."""

    seconds = Integer(10, help="How long one login may wait for the directory.").tag(config=True)
    ca = Unicode("", help="PEM file of the authority that signed the directory's certificate; empty for the system's.").tag(config=True)
    group_base = Unicode("", help="Where groups are searched; empty: nowhere.").tag(config=True)
    group_filter = Unicode(help="Finds a person's groups, with {dn} and {username}.").tag(config=True)
    group_name = Unicode("cn", help="Attribute that names a group.").tag(config=True)
    allowed_group = Unicode("", help="Group whose members may enter; empty: everybody.").tag(config=True)
    admin_group = Unicode("", help="Group whose members administrate.").tag(config=True)
    name_attribute = Unicode("", help="Attribute of a person's entry that holds the name they log in with; empty: the name as typed.").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._off_loop = OffLoop("login-ldap")

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """Name and groups of who has that name and password, None where nobody has.

        DirectoryDown where the directory does not tell in time, NotAllowed for somebody outside the allowed group.
        """
        login = _Login(data["username"])
        context = copy_context()
        context.run(_login.set, login)
        inner = super().authenticate
        try:
            found = await self._off_loop.run(lambda: context.run(_in_thread, login, lambda: inner(None, data)), self.seconds, login.abort)
        except TimeoutError:
            raise DirectoryDown(f"the directory {self.server_address} did not answer within {self.seconds} s") from None
        except (LDAPException, OSError) as error:
            raise DirectoryDown(f"the directory {self.server_address}: {_one_line(error)}") from error
        return self._person(login, found) if found else None

    def _person(self, login: _Login, found: dict[str, Any]) -> dict[str, Any]:
        groups = found["auth_state"]["user_attributes"]["groups"]
        folded = {group.casefold() for group in groups}
        if self.allowed_group and self.allowed_group.casefold() not in folded:
            raise NotAllowed(f"not a member of {self.allowed_group}")
        if self.admin_group and self.admin_group.casefold() in folded:
            groups = [*groups, ADMINISTRATORS]
        return {"name": normal(found["auth_state"]["user_attributes"]["name"] or found["name"]), "groups": groups}

    def resolve_username(self, username_supplied_by_user: str) -> tuple[str | None, str | None]:
        """The person's name and DN, searched; (None, None) where there is not exactly one such person."""
        login = _login.get()
        login.searching = True
        conn = self.get_connection(self.lookup_dn_search_user, self.lookup_dn_search_password)
        login.searching = False
        wanted = _fill(self.lookup_dn_search_filter, username=username_supplied_by_user)
        conn.search(self.user_search_base, wanted, ldap3.SUBTREE, attributes=[ldap3.NO_ATTRIBUTES])
        found = _entries(conn)
        if len(found) != 1:
            self.log.warning("the directory has %s entries for %r", len(found), username_supplied_by_user)
            return None, None
        # the DN is next used as a template, where braces of its own would be placeholders
        return username_supplied_by_user, found[0]["dn"].replace("{", "{{").replace("}", "}}")

    def get_connection(self, userdn: str | None, password: str | None) -> Any:
        """A connection bound as `userdn`, None where the directory refuses that password; errors of the directory for everything else."""
        login = _login.get()
        connection = connect(self.server_address, self.server_port, self.tls_strategy, self.ca, self.seconds, userdn, password, login.connections)
        if connection is None and login.searching:
            raise DirectoryDown(f"the directory refuses the account that searches, {userdn}")
        if login.searching:
            login.searcher = connection
        return connection

    def get_user_attributes(self, conn: Any, userdn: str) -> dict[str, Any]:
        """The person's groups, and their name as the directory writes it; empty where it does not tell."""
        login = _login.get()
        return {"groups": self._groups(login.searcher or conn, userdn, login.name), "name": self._name(conn, userdn, login.name)}

    def _name(self, conn: Any, dn: str, typed: str) -> str:
        """The value of the naming attribute that was typed, whatever its spelling, else the only one there is."""
        if not self.name_attribute:
            return ""
        try:
            conn.search(dn, "(objectClass=*)", ldap3.BASE, attributes=[self.name_attribute])
        except LDAPOperationResult:  # people may not read their own entry
            return ""
        values = _values(conn, self.name_attribute)
        same = [value for value in values if normal(value) == typed]
        return same[0] if same else values[0] if len(values) == 1 else ""

    def _groups(self, conn: Any, dn: str, name: str) -> list[str]:
        if not self.group_base:
            return []
        conn.search(self.group_base, _fill(self.group_filter, dn=dn, username=name), ldap3.SUBTREE, attributes=[self.group_name])
        names = set(_values(conn, self.group_name)) - {ADMINISTRATORS}
        return sorted(group for group in names if group.isprintable() and 0 < len(group) <= _LONGEST_GROUP)


def _in_thread(login: _Login, work: Any) -> Any:
    """LDAPAuthenticator's coroutine, which awaits nothing, to its end."""
    try:
        return asyncio.run(work())
    finally:
        login.close()


def connect(host: str, port: int, strategy: TlsStrategy, ca: str, seconds: int, dn: str | None, password: str | None, opened: list[Any]) -> Any:
    """A bound connection, or None where the directory refuses the password. LDAPException or OSError where it does not answer so.

    The connection is in `opened` before anything is sent, for whoever must close it. `seconds` limit each single wait. Referrals are not followed: they would
    carry the password to whatever host a directory names.
    """
    tls, use_ssl = VerifiedTls(ca_certs_file=ca or None), strategy == TlsStrategy.on_connect
    server = ldap3.Server(host, port=port, use_ssl=use_ssl, tls=tls, get_info=ldap3.NONE, connect_timeout=seconds)
    connection = ldap3.Connection(server, user=dn, password=password, receive_timeout=seconds, auto_referrals=False, raise_exceptions=True)
    opened.append(connection)
    connection.open()
    if strategy == TlsStrategy.before_bind:
        connection.start_tls()
    try:
        connection.bind()
    except LDAPOperationResult as error:
        if error.result in _REFUSALS:
            return None
        raise
    return connection


def wrong(ldap: Ldap, password: str | None) -> str | None:
    """What keeps us from asking that directory, in one line; None where it can be asked. `password` is the search account's.

    Takes a few times `ldap.timeout` at most.
    """
    where = f"the directory {ldap.server}"
    opened: list[Any] = []
    try:
        bound = connect(ldap.server, port(ldap), STRATEGIES[ldap.security], str(ldap.ca or ""), ldap.timeout, ldap.search_user, password, opened)
    except (LDAPException, OSError) as error:
        return f"{where} cannot be asked: {_one_line(error)}; see login.ldap"
    finally:
        for connection in opened:
            with contextlib.suppress(OSError, LDAPException, AttributeError):
                connection.strategy.close()
    # a directory that lets nobody ask anonymously answers all the same, and people are not anonymous
    if bound is None and ldap.search_user:
        return f"{where} refuses login.ldap.search_user {ldap.search_user} with the password of login.ldap.search_password_file"
    return None


STRATEGIES = {"ldaps": TlsStrategy.on_connect, "starttls": TlsStrategy.before_bind, "none": TlsStrategy.insecure}


def port(ldap: Ldap) -> int:
    """The port in force."""
    return ldap.port or (636 if ldap.security == "ldaps" else 389)


def name_attribute(ldap: Ldap) -> str:
    """The attribute that people's login names are values of, as far as the settings tell; empty where they do not."""
    pattern = r"([A-Za-z][A-Za-z0-9.-]*)=\{username\}"
    found = [match[1] for text in (*ldap.bind_template, ldap.search_filter) if (match := re.search(pattern, text))]
    return found[0] if found else ""


def _fill(template: str, **values: str) -> str:
    """A filter with its placeholders replaced, escaped, in one pass."""
    return re.sub(r"\{(dn|username)\}", lambda match: escape_filter_chars(values[match[1]]), template)


def _entries(conn: Any) -> list[dict[str, Any]]:
    return [one for one in conn.response or [] if one["type"] == "searchResEntry"]


def _values(conn: Any, attribute: str) -> list[str]:
    """All values of an attribute in what was found."""
    return [
        value.decode("utf-8", "replace")
        for entry in _entries(conn)
        for key, values in entry["raw_attributes"].items()
        if key.lower() == attribute.lower()
        for value in values
    ]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
