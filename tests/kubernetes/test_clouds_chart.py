"""The chart of a hub with further clusters, and that of an outpost: what each has and has not, and that Kubernetes knows it all."""

import json
from typing import Any

import kubernetes_validate
import pytest

from tests import helm

TLS = {"tls": {"certificate": "tls/tls.pem", "key": "tls/tls.key"}}
OUTPOST: dict[str, Any] = {
    "site": TLS,
    "labs": {"network": {"allow": ["192.0.2.7"]}},
    "kubernetes": {
        "files": "files",
        "ca": "tls/ca.pem",
        "service": {"type": "LoadBalancer"},
        "outpost": {"hub": "https://labs.example.org", "api": {"annotations": {"a": "b"}}},
    },
}
HUB: dict[str, Any] = {
    "site": TLS | {"url": "https://labs.example.org"},
    "profiles": {"p": {"title": "P", "clusters": ["home", "b"], "placement": "spill-over"}},
    "clusters": {
        "b": {"kubeconfig": "b-secret", "namespace": "elabs", "url": "https://b.example.org", "proxy_api": "https://b.example.org:8001", "homes": "shared"}
    },
    "kubernetes": {"files": "files", "ca": "tls/ca.pem"},
}


def container(objects: list[dict[str, Any]], name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The only container of a Deployment, and its environment."""
    (found,) = helm.pod_specs(objects)[f"Deployment/{name}"]["containers"]
    return found, {one["name"]: one.get("value", "") for one in found["env"]}


@pytest.mark.parametrize("values", [OUTPOST, HUB], ids=["outpost", "hub"])
@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
def test_every_object_is_one_that_kubernetes_knows(values: dict[str, Any], version: str) -> None:
    for found in helm.rendered(values, "--kube-version", version if version.count(".") == 2 else f"{version}.0"):
        kubernetes_validate.validate(found, version, strict=True)


def test_an_outpost_is_a_proxy_and_what_labs_need() -> None:
    objects = helm.rendered(OUTPOST)
    assert {(one["kind"], one["metadata"]["name"]) for one in objects if "helm.sh/hook" not in one["metadata"].get("annotations", {})} == {
        ("PriorityClass", "research-elabs-core"), ("PriorityClass", "research-elabs-lab"), ("PriorityClass", "research-elabs-headroom"),
        ("NetworkPolicy", "elabs-labs"), ("NetworkPolicy", "elabs-proxy"),
        ("PodDisruptionBudget", "elabs-labs"), ("PodDisruptionBudget", "elabs-proxy"),
        ("ServiceAccount", "elabs-hub"), ("Role", "elabs-hub"), ("RoleBinding", "elabs-hub"), ("Secret", "elabs-hub-account"),
        ("Secret", "elabs-secrets"), ("ConfigMap", "elabs-settings"),
        ("Service", "elabs-proxy"), ("Service", "elabs-proxy-api"), ("Deployment", "elabs-proxy"), ("DaemonSet", "elabs-images"),
    }  # fmt: skip


def test_the_api_of_its_proxy_speaks_https_and_wants_the_token() -> None:
    objects = helm.rendered(OUTPOST)
    proxy, environment = container(objects, "elabs-proxy")
    assert {"--api-ssl-cert=/etc/elabs/tls/certificate.pem", "--api-ssl-key=/etc/elabs/tls/key.pem"} <= set(proxy["args"])
    assert not [word for word in proxy["args"] if word.startswith("--default-target")]
    assert "CONFIGPROXY_AUTH_TOKEN" in environment
    service = helm.named(objects, "Service", "elabs-proxy-api")
    assert service["spec"]["type"] == "LoadBalancer"
    assert "clusterIP" not in service["spec"]
    assert service["metadata"]["annotations"] == {"a": "b"}


def test_the_hubs_account_there_makes_labs_and_reads_no_secrets() -> None:
    rules = helm.named(helm.rendered(OUTPOST), "Role", "elabs-hub")["rules"]
    assert [rule["resources"] for rule in rules] == [["pods"], ["persistentvolumeclaims"], ["events"]]
    assert "delete" not in rules[1]["verbs"]


def test_labs_of_an_outpost_reach_and_are_reached_by_no_hub_within() -> None:
    policy = helm.named(helm.rendered(OUTPOST), "NetworkPolicy", "elabs-labs")["spec"]
    assert [one["podSelector"]["matchLabels"]["component"] for one in policy["ingress"][0]["from"]] == ["proxy"]
    assert not [one for rule in policy["egress"] for one in rule["to"] if one.get("podSelector", {}).get("matchLabels", {}).get("component") == "hub"]
    assert {"ipBlock": {"cidr": "192.0.2.7/32"}} in policy["egress"][-1]["to"]


def test_a_hub_has_the_secret_of_each_cluster_and_starts_without_it() -> None:
    objects = helm.rendered(HUB)
    spec = helm.pod_specs(objects)["Deployment/elabs-hub"]
    (volume,) = (one["secret"] for one in spec["volumes"] if one["name"] == "cluster-b")
    assert (volume["secretName"], volume["optional"]) == ("b-secret", True)
    hub, environment = container(objects, "elabs-hub")
    assert {"name": "cluster-b", "mountPath": "/etc/elabs/clusters/b", "readOnly": True} in hub["volumeMounts"]
    assert environment["ELABS_CLUSTERS"] == "/etc/elabs/clusters"
    assert environment["SSL_CERT_FILE"] == "/etc/elabs/files/ca.pem"
    _, environment = container(objects, "elabs-proxy")
    assert environment["NODE_EXTRA_CA_CERTS"] == "/etc/elabs/tls/authorities.pem"
    loaded = environment["NODE_OPTIONS"].removeprefix("--require=/opt/elabs/")
    assert helm.path_of("../../" + loaded).is_file()


def test_without_further_clusters_nothing_of_it_is_there() -> None:
    written = json.dumps(helm.rendered({}))
    for word in ("target_name", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "hub-account", "--api-ssl"):
        assert word not in written


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (HUB | {"site": TLS}, "clusters: needs site.url: labs in other clusters reach the hub by it"),
        (HUB | {"site": {"url": "http://labs.example.org"}}, "site.url: labs in other clusters reach the hub by it"),
        (OUTPOST | {"site": {}}, "kubernetes.outpost: needs site.tls"),
        (OUTPOST | {"clusters": HUB["clusters"], "site": HUB["site"]}, "clusters: kubernetes.outpost is given"),
        (OUTPOST | {"kubernetes": OUTPOST["kubernetes"] | {"ingress": {"ingress_class": "nginx"}}, "site": HUB["site"]}, "kubernetes.ingress: an outpost is asked by"),
        (HUB | {"kubernetes": {"ca": "ca.pem"}}, "names a file, and kubernetes.files no secret that holds it"),
    ],
)  # fmt: skip
def test_helm_refuses_what_cannot_work(values: dict[str, Any], says: str) -> None:
    assert says in helm.refused(json.dumps(values))
