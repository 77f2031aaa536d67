"""Further clusters in which labs may run, and what does not go together between them and profiles. One machine checks these settings and does not use them.

The hub's own cluster is called `home` and needs no entry: its settings are those of `kubernetes`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from elabs.config.document import Where
from elabs.config.kubernetes import Kubernetes, ObjectName
from elabs.config.section import Name, Section, Url
from elabs.config.units import shown

HOME = "home"
"""What profiles call the hub's own cluster."""
Strategy = Literal["first-fit", "spill-over", "cheapest"]


def _https(value: str) -> str:
    if not value.startswith("https://"):
        raise ValueError(f"{shown(value)} is not encrypted: the tokens of labs would be read on the way; write https://NAME")
    return value


HttpsUrl = Annotated[Url, AfterValidator(_https), WithJsonSchema({"type": "string", "pattern": r"^https://[^/\s?#@]+/?$", "title": "address with https"})]


class Cluster(Section):
    """A further cluster, where the chart is installed with `kubernetes.outpost`."""

    kubeconfig: ObjectName
    """Secret of the hub's namespace with two keys: `kubeconfig`, an account in that cluster, and `proxy_token`, the token of the proxy there.
    `helm install` of the outpost says how to make it."""
    namespace: ObjectName
    """Namespace of the outpost."""
    release: ObjectName = "elabs"
    """Name of the outpost's release."""
    url: HttpsUrl
    """Public address of the outpost's proxy, by which the site's proxy and the hub reach labs there."""
    proxy_api: HttpsUrl
    """Address of the API of the outpost's proxy, by which the hub tells it where labs are."""
    homes: Literal["separate", "shared"]
    """shared: the storage class there leads to the same files as at home; separate: a person has another home there, and is told so at each start."""
    storage_class: ObjectName | None = Field(default=None, json_schema_extra={"x-default": "that cluster's own"})
    """Storage class of homes there."""
    price: float | None = Field(default=None, ge=0)
    """Price of a lab there, in the unit of `kubernetes.price`."""
    labs: int | None = Field(default=None, ge=1, json_schema_extra={"x-default": "as many as there is room for"})
    """Most labs there at once."""

    @property
    def priority_class(self) -> str:
        """Of labs there, as the chart names it."""
        return f"{self.namespace}-{self.release}-lab"


Placed = Mapping[str, tuple[Sequence[Name], Strategy]]
"""By profile: its clusters and its strategy."""


def between(clusters: Mapping[str, Cluster], kubernetes: Kubernetes, placed: Placed, url: str | None) -> list[tuple[str, str]]:
    """What is wrong between these settings: pairs of a setting and one line. `url` is `site.url`."""
    return [*_hub(clusters, url), *(one for name in placed for one in _profile(name, *placed[name], clusters, kubernetes))]


def _hub(clusters: Mapping[str, Cluster], url: str | None) -> Iterator[tuple[str, str]]:
    if HOME in clusters:
        yield f"clusters.{HOME}", f"{HOME} is the hub's own cluster and is there without an entry; its settings are those of kubernetes"
    if clusters and url is None:
        yield "clusters", "needs site.url: labs in other clusters reach the hub by it"
    elif clusters and url and not url.startswith("https://"):
        yield "site.url", "labs in other clusters reach the hub by it, and their tokens would be read on the way; write https://NAME"


def of_outpost(clusters: Mapping[str, Cluster], kubernetes: Kubernetes, has_tls: bool) -> Iterator[tuple[Where, str]]:
    """What an outpost lacks; `has_tls` says whether the site has a certificate."""
    if kubernetes.outpost is None:
        return
    if clusters:
        yield ("clusters",), "kubernetes.outpost is given: an outpost has no hub that could use other clusters"
    if not has_tls:
        yield ("kubernetes", "outpost"), "needs site.tls: what people and labs say to each other comes over the public address"
    for name in ("ingress", "gateway"):
        if getattr(kubernetes, name) is not None:
            yield ("kubernetes", name), "an outpost is asked by the name of the hub's site, which no rule for a name lets through; use kubernetes.service"


def _profile(name: str, wanted: Sequence[Name], strategy: Strategy, clusters: Mapping[str, Cluster], kubernetes: Kubernetes) -> Iterator[tuple[str, str]]:
    where = f"profiles.{name}.clusters"
    if not wanted:
        yield where, f"give one cluster at least, or remove the line, which means {HOME}"
    known = [HOME, *clusters]
    yield from ((f"{where}.{index}", f"{shown(one)} is not one of the clusters: {', '.join(known)}") for index, one in enumerate(wanted) if one not in known)
    yield from ((where, f"{shown(one)} stands there {count} times") for one, count in Counter(wanted).items() if count > 1)
    place = f"profiles.{name}.placement"
    if strategy == "spill-over" and HOME not in wanted:
        yield place, f"spill-over fills {HOME} first, which is not one of its clusters"
    if strategy == "cheapest" and len(wanted) > 1:
        prices = {HOME: ("kubernetes.price", kubernetes.price)} | {one: (f"clusters.{one}.price", cluster.price) for one, cluster in clusters.items()}
        missing = [prices[one][0] for one in wanted if one in prices and prices[one][1] is None]
        if missing:
            yield place, f"cheapest compares prices, and these are missing: {', '.join(missing)}"
