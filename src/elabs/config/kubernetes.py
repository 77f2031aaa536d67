"""What only a cluster needs to know: section `kubernetes`, and what a profile says of nodes. One machine checks these settings and does not use them."""

import re
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from elabs import __version__
from elabs.config.files import File
from elabs.config.section import HUB_IMAGE, Name, Network, Section, Text, Url
from elabs.config.units import ByteSize, shown

_OBJECT = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_REFERENCE = r"^[a-z0-9]([A-Za-z0-9._:/@-]{0,250}[A-Za-z0-9])?$"
_TAINT = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,250}(=[A-Za-z0-9._-]{0,63})?(:(NoSchedule|PreferNoSchedule|NoExecute))?$"
_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def _pattern(pattern: str, what: str) -> Any:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value, re.ASCII):
            raise ValueError(f"{shown(value)} is not {what}")
        return value

    return check


ObjectName = Annotated[
    str,
    BeforeValidator(_pattern(_OBJECT, "a name of Kubernetes; use a-z, 0-9, - and . inside")),
    WithJsonSchema({"type": "string", "pattern": _OBJECT, "title": "name in Kubernetes"}),
]
Reference = Annotated[
    str,
    BeforeValidator(_pattern(_REFERENCE, "a place of images; write it like registry.example.org/elabs, without https://")),
    WithJsonSchema({"type": "string", "pattern": _REFERENCE, "title": "image reference"}),
]
Taint = Annotated[
    str,
    BeforeValidator(_pattern(_TAINT, "a taint; write KEY, KEY:EFFECT or KEY=VALUE:EFFECT, like nvidia.com/gpu:NoSchedule")),
    WithJsonSchema({"type": "string", "pattern": _TAINT, "title": "taint"}),
]
Clock = Annotated[
    str,
    BeforeValidator(_pattern(_CLOCK, 'a time of day; write it with quotes and two digits each, like "08:45"')),
    WithJsonSchema({"type": "string", "pattern": _CLOCK, "title": "time of day"}),
]


class Nodes(Section):
    """On which nodes of the cluster."""

    selector: dict[Text, Text] = {}
    """Labels that a node must have."""
    tolerations: list[Taint] = []
    """Taints that do not keep away, as kubectl writes them: `KEY`, `KEY:EFFECT` or `KEY=VALUE:EFFECT`."""


class Images(Section):
    """Where the cluster finds images."""

    repository: Reference = "elabs"
    """Registry and folder: the hub's image is `REPOSITORY/hub`, that of labs `REPOSITORY/lab-NAME`."""
    tag: Text = __version__
    """Their tag."""
    labs: dict[Name, Reference] = {}
    """Whole references, with tag or digest, of images that are called otherwise."""
    pull_secrets: list[ObjectName] = []
    """Secrets with the registry's credentials."""
    ahead: bool = True
    """Keep the images of all profiles on every node that may run labs, and have upgrades wait for them."""

    def lab(self, name: str) -> str:
        """Reference of the image that labs of the image NAME run."""
        return self.labs.get(name) or f"{self.repository}/lab-{name}:{self.tag}"

    @property
    def hub(self) -> str:
        """Reference of the image of hub and proxy."""
        return f"{self.repository}/{HUB_IMAGE}:{self.tag}"


class HubPod(Section):
    """The hub's own pod and volume."""

    volume: ByteSize = Field(default=2**30, ge=64 * 2**20)
    """Size of the volume with the hub's database and the record of labs' ends."""
    storage_class: ObjectName | None = Field(default=None, json_schema_extra={"x-default": "the cluster's own"})
    """Storage class of that volume."""
    memory: ByteSize = Field(default=2**30, ge=256 * 2**20)
    """Memory the hub may use; half of it is set aside."""
    cpu: float = Field(default=1.0, ge=0.1, le=64)
    """CPUs the hub may use; a fifth is set aside."""
    nodes: Nodes = Nodes()
    """Nodes for hub and proxy."""


class ServiceOf(Section):
    """The Service in front of the proxy."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Kind of Service: ClusterIP behind an Ingress or a Gateway, LoadBalancer for an address of its own."""
    annotations: dict[Text, str] = {}
    """Annotations, as load balancers want them."""


class ApiService(ServiceOf):
    """The Service in front of the API of an outpost's proxy."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "LoadBalancer"
    """Kind of Service; the hub is in another cluster, so ClusterIP needs a way in of your own."""


class Ingress(Section):
    """An Ingress for `site.url`."""

    ingress_class: ObjectName
    """Ingress class: which controller serves it."""
    annotations: dict[Text, str] = {}
    """Annotations, as ingress controllers want them."""
    tls_secret: ObjectName | None = None
    """Secret with certificate and key of the site's name."""


class Gateway(Section):
    """A route of a Gateway for `site.url`."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: ObjectName | None = Field(default=None, json_schema_extra={"x-default": "the release's own"})
    """Its namespace."""
    section: Text | None = None
    """Listener of the Gateway."""


class Outpost(Section):
    """Makes of the release an outpost of a hub in another cluster: a proxy and what labs need, and no hub."""

    hub: Url
    """The site's address, `site.url` of the hub's own settings."""
    api: ApiService = ApiService()
    """The Service in front of the proxy's API, by which the hub tells it where labs are; it takes nobody's word without the token, and speaks https alone."""


class Kubernetes(Section):
    """For a cluster alone; one machine checks this section and does not use it."""

    images: Images = Images()
    """Where the cluster finds images."""
    storage_class: ObjectName | None = Field(default=None, json_schema_extra={"x-default": "the cluster's own"})
    """Storage class of homes."""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """How homes are mounted; ReadWriteMany where the class offers it, as CephFS does: a lab then starts on another node at once."""
    files: ObjectName | None = None
    """Secret with the files that other settings name: `tls/key.pem` is its key `key.pem`. `elabs config check --for kubernetes` says what it must hold."""
    data: dict[Name, ObjectName] = {}
    """Volumes with shared data, by name: a claim of the release's namespace, read-only in every lab at `/data/NAME`."""
    hub: HubPod = HubPod()
    """The hub's own pod and volume."""
    service: ServiceOf = ServiceOf()
    """The Service in front of the proxy."""
    ingress: Ingress | None = None
    """An Ingress for `site.url`."""
    gateway: Gateway | None = None
    """A route of a Gateway for `site.url`."""
    network_policies: bool = True
    """Network policies: labs reach the hub, names and the Internet, and only the proxy reaches labs. The cluster's network must enforce them."""
    cluster_networks: list[Network] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"]
    """Networks that labs do not reach, beyond what `labs.network.allow` names: the cluster's own and the institute's."""
    ca: File | None = Field(default=None, json_schema_extra={"x-default": "the well-known authorities alone"})
    """PEM file with your own authorities, which hub, proxy and labs believe beside the well-known ones."""
    price: float | None = Field(default=None, ge=0)
    """Price of a lab in the hub's own cluster, in any unit; profiles with `placement: cheapest` compare it with those of `clusters`."""
    labs: int | None = Field(default=None, ge=1, json_schema_extra={"x-default": "as many as there is room for"})
    """Most labs in the hub's own cluster at once."""
    outpost: Outpost | None = None
    """Makes of the release an outpost of a hub in another cluster: a proxy and what labs need, and no hub."""


class Period(Section):
    """A time of the week with more room, such as a course."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = ["mon", "tue", "wed", "thu", "fri"]
    """Days of the week."""
    start: Clock
    """When it starts; allow for the time that a new node takes."""
    end: Clock
    """When it ends; before `start`, it is on the next day."""
    labs: int = Field(ge=0, le=10000)
    """Room for so many labs."""


class Headroom(Section):
    """Room kept free for the next labs, so that nobody waits for a new node. Kubernetes alone."""

    labs: int = Field(default=0, ge=0, le=1000)
    """How many labs of the first profile's size there is always room for, beside those that run."""
    timezone: Text = "UTC"
    """Time zone of the schedule, such as `Europe/Madrid`."""
    schedule: dict[Name, Period] = {}
    """Times of the week with more room, by name; where several hold, the largest."""

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{shown(value)} is no time zone; write it as Area/City, like Europe/Madrid")
        return value
