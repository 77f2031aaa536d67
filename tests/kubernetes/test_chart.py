"""The chart: what helm makes of elabs.yaml, checked against Kubernetes' own schemas, and that it refuses what `elabs config check` refuses."""

import json
import re
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import elabs
from elabs.config.load import ConfigError, load
from elabs.config.units import BYTES_PATTERN, parse_bytes
from elabs.hub.cluster.check import problems
from tests import helm
from tests.unit.test_config_load import MISTAKES

VERSIONS = ("1.29", kubernetes_validate.latest_version())
LDAP = {
    "server": "ldap.example.org",
    "search_base": "dc=example,dc=org",
    "search_user": "cn=s",
    "search_password_file": "secrets/ldap-password",
    "ca": "tls/ca.pem",
}
EVERYTHING: dict[str, Any] = {
    "global": {"anything": 1},
    "site": {"name": "Estación", "url": "https://labs.example.org", "tls": {"certificate": "tls/chain.pem", "key": "tls/key.pem"}},
    "login": {"ldap": LDAP},
    "sizes": {"gpu": {"memory": "16G", "cpu": 4, "resources": {"nvidia.com/gpu": 1}}},
    "profiles": {
        "default": {"title": "Lab", "order": 1},
        "gpu": {"title": "GPU", "size": "gpu", "image": "small", "nodes": {"selector": {"pool": "gpu"}, "tolerations": ["nvidia.com/gpu:NoSchedule"]}},
    },
    "labs": {
        "headroom": {"labs": 2, "schedule": {"course": {"start": "08:45", "end": "13:00", "labs": 20}}},
        "network": {"allow": ["10.1.0.0/16", "192.168.7.9"]},
    },
    "kubernetes": {
        "images": {"repository": "registry.example.org/elabs", "pull_secrets": ["registry"]},
        "files": "elabs-files",
        "storage_class": "cephfs",
        "access_mode": "ReadWriteMany",
        "data": {"gbif": "gbif"},
        "hub": {"storage_class": "rbd", "memory": "1.5G", "cpu": 2, "nodes": {"selector": {"pool": "core"}, "tolerations": ["core=yes:NoExecute"]}},
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
        "ingress": {"ingress_class": "nginx", "annotations": {"c": "d"}, "tls_secret": "labs-tls"},
    },
}
GATEWAY = {"site": {"url": "https://labs.example.org"}, "kubernetes": {"gateway": {"name": "public", "namespace": "gateways", "section": "https"}}}
VARIANTS = {"defaults": {}, "everything": EVERYTHING, "gateway": GATEWAY, "bare": {"kubernetes": {"network_policies": False, "images": {"ahead": False}}}}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_object_is_one_that_kubernetes_knows(name: str, version: str) -> None:
    for found in helm.rendered(VARIANTS[name], "--kube-version", version if version.count(".") == 2 else f"{version}.0"):
        if found["apiVersion"].startswith("gateway."):
            continue  # its schema is not Kubernetes' own; it is compared below
        kubernetes_validate.validate(found, version, strict=True)


def test_the_route_of_a_gateway() -> None:
    route = helm.named(helm.rendered(GATEWAY), "HTTPRoute", "elabs")
    assert route["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["labs.example.org"],
        "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"name": "elabs-proxy", "port": 80}]}],
    }


def test_old_clusters_get_the_old_kind_and_no_others_do() -> None:
    old = helm.rendered({}, "--api-versions", "policy/v1beta1/PodDisruptionBudget")
    assert {one["apiVersion"] for one in old if one["kind"] == "PodDisruptionBudget"} == {"policy/v1"}
    done = helm.run("{}", "--api-versions", "policy/v1beta1/PodDisruptionBudget", "--kube-version", "1.20.0")
    assert "apiVersion: policy/v1beta1" in done.stdout


@pytest.mark.parametrize("name", VARIANTS)
def test_every_pod_is_restricted(name: str) -> None:
    """As Pod Security calls it, so that the namespace may enforce it."""
    specs = helm.pod_specs(helm.rendered(VARIANTS[name]))
    assert len(specs) >= 2
    for spec in specs.values():
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all({"configMap", "secret", "emptyDir", "persistentVolumeClaim"} & volume.keys() for volume in spec.get("volumes", ()))
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            context = container["securityContext"]
            assert (context["allowPrivilegeEscalation"], context["capabilities"], context["readOnlyRootFilesystem"]) == (False, {"drop": ["ALL"]}, True)
            assert container["imagePullPolicy"] == "IfNotPresent"
            assert {"requests"} <= container["resources"].keys()


def test_who_has_an_account_in_the_cluster_and_for_what() -> None:
    objects = helm.rendered()
    with_token = {name for name, spec in helm.pod_specs(objects).items() if spec["automountServiceAccountToken"]}
    assert with_token == {"Deployment/elabs-hub", "Job/elabs-images-wait"}
    assert not [one for one in objects if one["kind"].startswith("ClusterRole")]
    assert helm.named(objects, "Role", "elabs-hub")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "create", "delete"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "create", "patch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["statefulsets/scale"], "resourceNames": ["elabs-headroom"], "verbs": ["get", "patch"]},
    ]


def test_secrets_are_in_no_other_object() -> None:
    objects = helm.rendered()
    secrets = [one for one in objects if one["kind"] == "Secret"]
    assert {one["metadata"]["name"] for one in secrets} == {"elabs-secrets", "elabs-demo"}
    words = {value for one in secrets for value in one["data"].values()}
    assert len(words) == 5
    others = json.dumps([one for one in objects if one["kind"] != "Secret"])
    assert not [word for word in words if word in others]


def test_what_uninstalling_leaves() -> None:
    kept = [one for one in helm.rendered() if one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"]
    assert {(one["kind"], one["metadata"]["name"]) for one in kept} == {
        ("Secret", "elabs-secrets"),
        ("Secret", "elabs-demo"),
        ("PersistentVolumeClaim", "elabs-hub"),
    }


def test_labs_reach_what_the_settings_say() -> None:
    policy = helm.named(helm.rendered(EVERYTHING), "NetworkPolicy", "elabs-labs")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    internet, *allowed = policy["egress"][-1]["to"]
    assert internet["ipBlock"]["cidr"] == "0.0.0.0/0"
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(internet["ipBlock"]["except"])
    assert allowed == [{"ipBlock": {"cidr": "10.1.0.0/16"}}, {"ipBlock": {"cidr": "192.168.7.9/32"}}]
    assert not [one for one in helm.rendered(VARIANTS["bare"]) if one["kind"] == "NetworkPolicy"]


def test_room_is_kept_in_a_labs_size_and_gives_way() -> None:
    objects = helm.rendered(EVERYTHING)
    room = helm.named(objects, "StatefulSet", "elabs-headroom")["spec"]
    (container,) = room["template"]["spec"]["containers"]
    assert room["replicas"] == 2
    # `gpu` has order 0 and so is the first
    assert container["image"] == "registry.example.org/elabs/lab-small:0.1.0"
    assert container["resources"]["requests"] == {"memory": str(8 * 2**30), "cpu": "1", "nvidia.com/gpu": "1"}
    assert room["template"]["spec"]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    values = {one["metadata"]["name"]: one["value"] for one in objects if one["kind"] == "PriorityClass"}
    assert values == {"research-elabs-core": 20, "research-elabs-lab": 10, "research-elabs-headroom": -10}
    assert not [one for one in helm.rendered() if one["kind"] == "StatefulSet"]


def test_the_hub_reads_the_very_values() -> None:
    found = helm.named(helm.rendered(EVERYTHING), "ConfigMap", "elabs-settings")["data"]["elabs.yaml"]
    values = YAML(typ="safe", pure=True).load(found)
    assert "global" not in values
    assert values["profiles"] == EVERYTHING["profiles"]
    assert values["labs"] == EVERYTHING["labs"]


@given(st.one_of(st.from_regex(re.compile(BYTES_PATTERN, re.ASCII), fullmatch=True), st.integers(2**26, 2**40)))
@settings(max_examples=25, deadline=None)
def test_sizes_are_plain_bytes_as_the_hub_counts_them(written: str | int) -> None:
    """Kubernetes reads `4G` as 4·10⁹; no manifest holds such a word."""
    assume(isinstance(written, int) or written.isprintable())
    try:
        size = parse_bytes(written)
    except ValueError:
        return
    done = helm.run(json.dumps({"kubernetes": {"hub": {"volume": written}}}), "--show-only", "templates/hub.yaml")
    assert done.returncode == 0, done.stderr
    claim = next(one for one in YAML(typ="safe", pure=True).load_all(done.stdout) if one["kind"] == "PersistentVolumeClaim")
    # a fraction of a byte may fall either way
    assert abs(int(claim["spec"]["resources"]["requests"]["storage"]) - size) <= max(1, size // 2**50)


def test_no_manifest_holds_a_size_with_a_unit() -> None:
    for one in helm.rendered(EVERYTHING):
        if one["kind"] != "ConfigMap":
            assert not re.search(r'"\d+(\.\d+)?\s*[kKMGTi]+[bB]?"', json.dumps(one)), one["metadata"]["name"]


@pytest.mark.parametrize(("text", "line"), MISTAKES, ids=[text.replace("\n", " ")[:60] for text, _ in MISTAKES])
def test_what_config_check_refuses_no_release_takes(tmp_path: Any, text: str, line: str) -> None:
    """Helm itself where a schema or a template can tell, with the key in its message; else the hook that runs before anything is applied."""
    found = helm.refused(text)
    key = re.split(r"[.\[]", line.split(": ")[1])[-1].rstrip("]") if line.count(": ") > 1 else ""
    if found:
        assert key in found or "cannot load" in found or "parse" in found, found
        assert "hunter2" not in found
        return
    (tmp_path / "elabs.yaml").write_text(text)
    told = problems(tmp_path / "elabs.yaml", tmp_path)
    assert told and line.split(": ", 1)[1].split(" in ")[0][:40] in told[0], told


@pytest.mark.parametrize("name", VARIANTS)
def test_what_config_check_takes_helm_takes(name: str) -> None:
    assert helm.refused(json.dumps(VARIANTS[name])) == ""


def test_the_example_installs_as_it_is() -> None:
    from tests.live import ROOT

    assert helm.refused((ROOT / "elabs.yaml").read_text()) == ""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"login": {"method": "pam"}}, "login.method: is pam, but a cluster has no accounts of its own; use ldap or oauth"),
        ({"login": {"ldap": LDAP}}, "names a file, and kubernetes.files no secret that holds it"),
        ({"kubernetes": {"ingress": {"ingress_class": "nginx"}}}, "kubernetes.ingress: needs site.url, the name that people type"),
        ({"site": {"url": "https://x.example.org"}, "kubernetes": {"ingress": {"ingress_class": "n"}, "gateway": {"name": "g"}}}, "kubernetes.gateway: kubernetes.ingress is given too; give one of them"),
    ],
)  # fmt: skip
def test_what_a_cluster_lacks_is_told_in_the_same_words_by_all(tmp_path: Any, values: dict[str, Any], words: str) -> None:
    assert words in helm.refused(json.dumps(values))
    for name in ("ldap-password", "ca.pem"):
        (tmp_path / name).write_text("x")
    (tmp_path / "elabs.yaml").write_text(json.dumps(values))
    told = problems(tmp_path / "elabs.yaml", tmp_path)
    assert any(words in one for one in told) or any("PEM" in one for one in told)


def test_the_charts_version_is_ours() -> None:
    chart = YAML(typ="safe", pure=True).load(helm.path_of("Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == elabs.__version__


def test_a_good_file_of_one_machine_is_a_values_file(tmp_path: Any) -> None:
    text = "site: {name: Estación}\nsizes: {medium: {memory: 4G}}\nlabs: {idle: {after: 1h 30m}}\nprofiles: {a: {title: A}}\nstorage: {pool: 40G}\n"
    (tmp_path / "elabs.yaml").write_text(text)
    load(tmp_path / "elabs.yaml")
    assert helm.refused(text) == ""
    with pytest.raises(ConfigError):
        (tmp_path / "elabs.yaml").write_text(text + "stroage: {}\n")
        load(tmp_path / "elabs.yaml")
    assert "stroage" in helm.refused(text + "stroage: {}\n")
