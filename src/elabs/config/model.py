"""The one model: everything that `elabs.yaml` may say, with its defaults. Every other part reads it; it reads nothing.

After validation durations are whole seconds and sizes whole bytes. Secrets are never values here: a setting that needs one names a file.
The docstring below each setting is its documentation: the reference and the JSON schema are made of it.
"""

import ipaddress
import re
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from elabs.config.clusters import HOME, Cluster, Strategy, between
from elabs.config.files import File, Folder, SecretFile, from_context
from elabs.config.kubernetes import Headroom, Kubernetes, Nodes
from elabs.config.section import Host, LabImage, Listen, Name, Network, Section, Text, Url, refuse
from elabs.config.units import ByteSize, Duration, format_bytes, shown

_PLACEHOLDER = re.compile(r"{(\w*)}")


class Tls(Section):
    """Https, with files that your authority gave you."""

    certificate: File
    """PEM file with the certificate chain."""
    key: SecretFile
    """PEM file with the private key, not locked with a password; readable by root only."""


class Site(Section):
    """Name, language and address."""

    name: str = Field(default="elabs", min_length=1, max_length=80)
    """What people read at the top of every page."""
    language: Literal["auto", "es", "en"] = "auto"
    """Language of the pages; auto follows the person's browser."""
    listen: Listen = "127.0.0.1:8000"
    """Address and port where the proxy listens for people's browsers."""
    url: Url | None = None
    """The address people type, where it is not the one the proxy listens on (a name, a load balancer in front)."""
    tls: Tls | None = None
    """Certificate and key for https; without it, http."""


class Ldap(Section):
    """The institute's directory."""

    server: Host
    """Name or address of the directory's machine."""
    port: int | None = Field(default=None, ge=1, le=65535, json_schema_extra={"x-default": "636 with `security: ldaps`, else 389"})
    """Port of the directory."""
    security: Literal["ldaps", "starttls", "none"] = "starttls"
    """How the connection is protected. The server's certificate is always verified; `none` sends passwords in the clear and is for tests on one machine."""
    ca: File | None = Field(default=None, json_schema_extra={"x-default": "the system's authorities"})
    """PEM file with the authority that signed the directory's certificate."""
    bind_template: list[Text] = []
    """DN templates with `{username}`, tried in turn: `uid={username},ou=people,dc=example,dc=org`. Without one, the person's DN is searched."""
    search_base: Text | None = None
    """Where people are searched, when there is no `bind_template`; also where groups are, when `group_base` is not given."""
    search_filter: str = "(uid={username})"
    """Filter that finds a person; `{username}` is replaced, escaped."""
    search_user: Text | None = None
    """DN of the account that searches; without it the search is anonymous."""
    search_password_file: SecretFile | None = None
    """File with that account's password."""
    group_base: Text | None = None
    """Where groups are searched."""
    group_filter: str = "(|(member={dn})(uniqueMember={dn})(memberUid={username}))"
    """Filter that finds a person's groups; `{dn}` and `{username}` are replaced, escaped."""
    group_name: Text = "cn"
    """Attribute that names a group."""
    allowed_group: Text | None = None
    """Name of the group whose members may enter; without it, everybody with a password."""
    admin_group: Text | None = None
    """Name of the group whose members are administrators."""
    timeout: Duration = Field(default=10, ge=1)
    """How long one login may wait for the directory; other requests never wait."""

    @field_validator("bind_template")
    @classmethod
    def _templates(cls, value: list[str]) -> list[str]:
        for template in value:
            if _PLACEHOLDER.findall(template) != ["username"]:
                raise ValueError(f"{shown(template)} must hold {{username}}, once, like uid={{username}},ou=people,dc=example,dc=org")
        return value

    @field_validator("search_filter", "group_filter")
    @classmethod
    def _filters(cls, value: str, info: ValidationInfo) -> str:
        known = {"username"} if info.field_name == "search_filter" else {"username", "dn"}
        names = set(_PLACEHOLDER.findall(value))
        if not names or not names <= known:
            raise ValueError(f"{shown(value)} must hold {' or '.join(f'{{{name}}}' for name in sorted(known))}, and nothing else in braces")
        if not re.fullmatch(r"\(.+\)", value) or value.count("(") != value.count(")"):
            raise ValueError(f"{shown(value)} is not an LDAP filter; each part is in parentheses, like (uid={{username}})")
        return value

    @model_validator(mode="after")
    def _somewhere_to_look(self) -> "Ldap":
        problems = []
        if not self.bind_template and not self.search_base:
            problems.append(("", "needs bind_template or search_base"))
        if self.search_user and not self.search_password_file:
            problems.append(("search_user", "needs search_password_file beside it"))
        if self.search_password_file and not self.search_user:
            problems.append(("search_password_file", "needs search_user beside it"))
        if not self.has_groups:
            problems += [(name, "needs group_base, or search_base, to find groups in") for name in ("allowed_group", "admin_group") if getattr(self, name)]
        refuse(*problems)
        return self

    @property
    def has_groups(self) -> bool:
        """Whether it is known where groups are."""
        return bool(self.group_base or self.search_base)


class Attempts(Section):
    """Limit on failed logins."""

    limit: int = Field(default=5, ge=1)
    """Failed logins of one account, or from one address (ten times as many), before the next one must wait."""
    within: Duration = Field(default=300, ge=1)
    """The period over which failures count, and how long the wait lasts at most."""


OAUTH_CLASSES = ("auth0", "azuread", "bitbucket", "cilogon", "generic-oauth", "github", "gitlab", "globus", "google", "mediawiki", "openshift")
"""The names that OAuthenticator gives its classes."""


Method = Literal["demo", "ldap", "pam", "oauth"]


def _method(data: dict[str, Any]) -> Method:
    return "ldap" if data["ldap"] else "oauth" if data["oauth"] else "demo"


class Login(Section):
    """Who may enter."""

    ldap: Ldap | None = None
    """The institute's directory."""
    oauth: dict[Text, Any] = {}
    """Login at another site: `class` names an OAuthenticator class (`generic-oauth`, `github`, …), `client_secret_file` the file with the client's secret;
    the other keys are the class's traits."""
    method: Method = Field(default_factory=_method, json_schema_extra={"x-default": "`ldap` or `oauth` where that is given, else `demo`"})
    """demo: three accounts with random passwords, shown by `elabs demo`; ldap: `login.ldap`; pam: the machine's own accounts; oauth: `login.oauth`."""
    admins: list[Text] = []
    """Accounts that administrate, beyond those of the directory's admin group."""
    attempts: Attempts = Attempts()
    """Limit on failed logins."""

    @field_validator("oauth")
    @classmethod
    def _oauth(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if not value:
            return value
        problems = []
        name = value.get("class")
        if name is None:
            problems.append(("class", f"missing; one of {', '.join(OAUTH_CLASSES)}"))
        elif name not in OAUTH_CLASSES:
            problems.append(("class", f"{shown(name)} is not known; one of {', '.join(OAUTH_CLASSES)}"))
        for key in value:
            if re.search(r"(secret|password)$", key):
                problems.append((key, "a secret is never written here; put it in a file and name that: client_secret_file"))
        found = dict(value)
        if "client_secret_file" in value:
            try:
                found["client_secret_file"] = str(from_context(value["client_secret_file"], info.context, "file", secret=True))
            except ValueError as error:
                problems.append(("client_secret_file", str(error)))
        refuse(*problems)
        return found

    @model_validator(mode="after")
    def _complete(self) -> "Login":
        problems = []
        if self.method == "ldap" and self.ldap is None:
            problems.append(("method", "is ldap, but login.ldap is missing"))
        if self.method == "oauth" and not self.oauth:
            problems.append(("method", "is oauth, but login.oauth is missing"))
        if self.ldap and self.oauth and "method" not in self.model_fields_set:
            problems.append(("oauth", "login.ldap is given too; say which is in force with login.method"))
        refuse(*problems)
        return self


def _half(data: dict[str, Any]) -> int:
    return min(2**30, int(data["memory"]) // 2)


class Size(Section):
    """What a lab may use."""

    memory: ByteSize = Field(default=2 * 2**30, ge=128 * 2**20)
    """Memory a lab may use; what exceeds it is killed, alone."""
    cpu: float = Field(default=2.0, ge=0.1, le=1024)
    """CPUs a lab may use at once."""
    pids: int = Field(default=512, ge=64, le=65536)
    """Processes and threads a lab may have."""
    tmp: ByteSize = Field(default_factory=_half, ge=2**20, json_schema_extra={"x-default": "half of `memory`, 1G at most"})
    """Size of /tmp, which is part of the lab's memory."""
    memory_request: ByteSize = Field(default_factory=lambda data: data["memory"] // 2, ge=2**20, json_schema_extra={"x-default": "half of `memory`"})
    """Kubernetes: memory that is set aside for a lab on its node; what it uses beyond that, others may need."""
    cpu_request: float = Field(default_factory=lambda data: round(data["cpu"] / 4, 3), ge=0.001, le=1024, json_schema_extra={"x-default": "a quarter of `cpu`"})
    """Kubernetes: CPUs that are set aside for a lab on its node."""
    resources: dict[Text, int] = {}
    """Kubernetes: other resources of a node that a lab takes whole, such as `nvidia.com/gpu: 1`."""

    @model_validator(mode="after")
    def _fits(self) -> "Size":
        problems = []
        if self.tmp > self.memory:
            problems.append(("tmp", f"{format_bytes(self.tmp)} is more than the lab's memory, {format_bytes(self.memory)}"))
        if self.memory_request > self.memory:
            problems.append(("memory_request", f"{format_bytes(self.memory_request)} is more than the lab's memory, {format_bytes(self.memory)}"))
        if self.cpu_request > self.cpu:
            problems.append(("cpu_request", f"{self.cpu_request:g} is more than the lab's cpu, {self.cpu:g}"))
        refuse(*problems)
        return self


_SIZES: dict[str, dict[str, Any]] = {
    "small": {"memory": 2**30, "cpu": 1.0, "pids": 256},
    "medium": {"memory": 2 * 2**30, "cpu": 2.0, "pids": 512},
    "large": {"memory": 8 * 2**30, "cpu": 4.0, "pids": 1024},
}


class Profile(Section):
    """A choice of image and size."""

    title: str = Field(min_length=1, max_length=80)
    """What the person picks."""
    description: str = ""
    """One line below the title."""
    image: LabImage | None = Field(default=None, json_schema_extra={"x-default": "the file's `image`"})
    """Image of the lab."""
    size: Name = "medium"
    """One of `sizes`."""
    groups: list[Text] = []
    """Directory groups whose members may pick it; empty: everybody."""
    order: int = 0
    """Place among the profiles: a lower number comes first. Of equal ones the file's order counts, and in a cluster, where Helm sorts names, the alphabet."""
    nodes: Nodes = Nodes()
    """Kubernetes: on which nodes its labs run."""
    clusters: list[Name] = [HOME]
    """Kubernetes: in which clusters its labs may run, `home` (the hub's own) or names of `clusters`."""
    placement: Strategy = "first-fit"
    """Kubernetes, where there are several: the first with room in their order; spill-over: home, and the others when it is full; cheapest: by their prices."""


class Home(Section):
    """Homes."""

    size: ByteSize = Field(default=5 * 2**30, ge=2**20)
    """Quota of each home."""


class Storage(Section):
    """Homes and where they are."""

    home: Home = Home()
    """Homes."""
    pool: ByteSize = Field(default=20 * 2**30, ge=256 * 2**20)
    """Where the host has no btrfs: size of the file, allocated in full, that holds all homes. Raising it grows the file at the next `up`."""


class Idle(Section):
    """When an idle lab is reclaimed."""

    after: Duration = 3600
    """A lab idle for so long gives its resources back; 0: never."""


class LabNetwork(Section):
    """What labs reach."""

    allow: list[Network] = []
    """Private networks that labs may reach; by default the public Internet alone."""
    range: Network = "198.18.0.0/15"
    """Addresses for labs; each elabs on this machine takes a /20 of it."""

    @model_validator(mode="after")
    def _apart(self) -> "LabNetwork":
        own = ipaddress.IPv4Network(self.range)
        problems = []
        if own.prefixlen > 20:
            problems.append(("range", f"{self.range} is smaller than the /20 that one elabs takes"))
        for index, network in enumerate(self.allow):
            if ipaddress.IPv4Network(network).overlaps(own):
                problems.append((f"allow.{index}", f"{network} holds the labs' own addresses, {self.range}: labs would reach each other"))
        refuse(*problems)
        return self


class Labs(Section):
    """The life of a lab."""

    idle: Idle = Idle()
    """When an idle lab is reclaimed."""
    network: LabNetwork = LabNetwork()
    """What labs reach."""
    start_timeout: Duration = Field(default=60, ge=1)
    """How long a start may take before it counts as failed."""
    headroom: Headroom = Headroom()
    """Room kept free for the next labs, so that nobody waits for a new node. Kubernetes alone."""
    next_cluster_after: Duration = Field(default=20, ge=1)
    """Kubernetes, profiles with several clusters: how long a start waits for room in one of them before it goes to the next."""


class Hub(Section):
    """JupyterHub itself."""

    snippets: Folder | None = None
    """Escape hatch: a folder of `*.py` files, run in order of their names at the end of JupyterHub's configuration, with its `c`."""
    database: Text | None = Field(default=None, json_schema_extra={"x-default": "SQLite in the state folder"})
    """Database URL of the hub, without a password. PostgreSQL takes its password from a file: `postgresql://elabs@db.example.org/elabs?passfile=/etc/elabs/pgpass`."""

    @field_validator("database")
    @classmethod
    def _database(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not re.match(r"[a-z][a-z0-9+]*://", value):
            raise ValueError("this is not a database URL; write sqlite:///PATH or postgresql://USER@HOST/NAME")
        if re.search(r"://[^/@]*:[^/@]*@|[?&]password=", value):
            raise ValueError("a password is never written here; put it in a file that libpq reads: …?passfile=PATH")
        return value


class Config(Section):
    """The whole of `elabs.yaml`."""

    version: Literal[1] = 1
    """Version of this file's format."""
    site: Site = Site()
    """Name, language and address."""
    login: Login = Login()
    """Who may enter."""
    sizes: dict[Name, Size] = Field(default_factory=lambda: {name: Size(**size) for name, size in _SIZES.items()})
    """What a lab may use, by name. What is given here is added to `small`, `medium` and `large`, or changes them."""
    profiles: dict[Name, Profile] = {"default": Profile(title="Lab")}
    """What people may pick; with one, nobody is asked. What is given here takes the place of `default`."""
    image: LabImage = "full"
    """The image that labs start from: `full`, or `small` (Python and R alone)."""
    apps: list[Name] = ["openrefine"]
    """Web programs with a button in the launcher, of those the image holds."""
    storage: Storage = Storage()
    """Homes and where they are."""
    labs: Labs = Labs()
    """The life of a lab."""
    hub: Hub = Hub()
    """JupyterHub itself."""
    kubernetes: Kubernetes = Kubernetes()
    """For a cluster alone; one machine checks this section and does not use it."""
    clusters: dict[Name, Cluster] = {}
    """Further clusters in which labs may run, by name; see docs/clouds.md. One machine checks them and does not use them."""

    @field_validator("sizes", mode="before")
    @classmethod
    def _known_sizes(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = {name: {**_SIZES[name], **size} if name in _SIZES and isinstance(size, dict) else size for name, size in value.items()}
        return {**_SIZES, **given}

    @model_validator(mode="after")
    def _names_exist(self) -> "Config":
        problems = [] if self.profiles else [("profiles", "give one profile at least, or remove the line")]
        for name, profile in self.profiles.items():
            if profile.size not in self.sizes:
                problems.append((f"profiles.{name}.size", f"{shown(profile.size)} is not one of sizes: {', '.join(self.sizes)}"))
            if profile.groups and self.login.method in ("demo", "pam"):
                problems.append((f"profiles.{name}.groups", f"login.method is {self.login.method}, which has no groups; nobody could pick this profile"))
            if profile.groups and self.login.method == "ldap" and self.login.ldap and not self.login.ldap.has_groups:
                problems.append((f"profiles.{name}.groups", "login.ldap needs group_base, or search_base, to find groups in"))
        placed = {name: (profile.clusters, profile.placement) for name, profile in self.profiles.items()}
        problems += between(self.clusters, self.kubernetes, placed, self.site.url)
        refuse(*problems)
        return self

    def profiles_in_order(self) -> list[str]:
        """Names of the profiles as people see them; the first is what they get who choose none."""
        return sorted(self.profiles, key=lambda name: self.profiles[name].order)

    def image_of(self, profile: str) -> str:
        """The image that a profile's labs start from."""
        return self.profiles[profile].image or self.image

    def size_of(self, profile: str) -> Size:
        """The limits of a profile's labs."""
        return self.sizes[self.profiles[profile].size]
