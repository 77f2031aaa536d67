"""Two clouds: a hub in one Kubernetes, an outpost in another, and between them nothing but their public addresses, with certificates of an authority of our own."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from elabs.cli.visit import Visit
from elabs.config.state import State
from elabs.runtime.images import build, oci
from tests import helm
from tests.kubernetes import authority, second
from tests.kubernetes.conftest import Cluster
from tests.kubernetes.internet import Internet
from tests.live import state_folder

SITE = "203.0.113.1"
THERE = second.ADDRESS
SITE_PAGE, OUTPOST_PAGE, OUTPOST_API, OUTPOST_KUBERNETES = (SITE, 443), (THERE, 443), (THERE, 8001), (THERE, 6443)
FIRST_NODE = "10.245.0.2"
PAGE_PORT, API_PORT = 30443, 30801
HUB, OUTPOST = "clouds-a", "clouds-b"
"""Namespaces and releases."""
TAG = "clouds"
SECONDS = 120


@dataclass
class Side:
    """A release in its cluster."""

    cluster: Cluster
    name: str

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """In its namespace."""
        return self.cluster.kubectl("-n", self.name, *args, stdin=stdin)

    def helm(self, verb: str, values: dict[str, Any] | None = None) -> str:
        """Install, upgrade or uninstall the release; what Helm says."""
        command = [helm.program("helm"), f"--kubeconfig={self.cluster.config}", "-n", self.name, verb, self.name]
        if values is not None:
            command += [str(helm.CHART), "--values=-", f"--timeout={SECONDS}s"]
        done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, timeout=SECONDS * 2, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Pods of that label which are not on their way out."""
        found = json.loads(self.kubectl("get", "pods", "-l", f"component={component}", "-o", "json"))["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def secret(self, name: str, key: str) -> str:
        """One value of a Secret."""
        return base64.b64decode(json.loads(self.kubectl("get", "secret", name, "-o", "json"))["data"][key]).decode()

    def forget(self, wait: bool) -> None:
        """Remove what a run may have left, without Helm, which such a run may have interrupted."""
        for kind in (f"namespace/{self.name}", *(f"priorityclass/{self.name}-{self.name}-{of}" for of in ("core", "lab", "headroom"))):
            self.cluster.kubectl("delete", kind, "--ignore-not-found", f"--wait={json.dumps(wait)}")

    def port(self, service: str, node_port: int) -> None:
        """Have the Service answer at that port of the node."""
        self.kubectl("patch", "service", service, "--type=json", "-p", json.dumps([{"op": "replace", "path": "/spec/ports/0/nodePort", "value": node_port}]))


@dataclass
class Clouds:
    """Both sides, and what is between them."""

    hub: Side
    outpost: Side
    internet: Internet
    ca: Path

    def visit(self, name: str) -> Visit:
        """A person who is logged in."""
        password = self.hub.secret(f"{HUB}-demo", f"{name}.admin" if name == "admin" else name)
        found = Visit(f"https://{SITE}", name, password, ca=str(self.ca))
        found.login()
        return found


def until(what: str, holds: Callable[[], Any]) -> Any:
    """What `holds` gives once that is something; a failure where it stays nothing."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {SECONDS} s: {what}")


def answers(call: Callable[[], Any]) -> Callable[[], Any]:
    """The same, with nothing instead of an exception."""

    def tried() -> Any:
        try:
            return call()
        except Exception:  # whatever a visit, a page or kubectl raises, it is not there yet
            return None

    return tried


@pytest.fixture(scope="module")
def clouds(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    """Both clusters, with hub and outpost in them."""
    folder = tmp_path_factory.mktemp("clouds")
    try:
        other = second.start(cluster, folder / "cluster")
    except OSError as error:
        pytest.skip(str(error))
    hub, outpost = Side(cluster, HUB), Side(other, OUTPOST)
    leads = {
        SITE_PAGE: (FIRST_NODE, PAGE_PORT),
        OUTPOST_PAGE: (second.NODE, PAGE_PORT),
        OUTPOST_API: (second.NODE, API_PORT),
        OUTPOST_KUBERNETES: (second.NODE, 6443),
    }
    with ExitStack() as afterwards:
        if not os.environ.get("ELABS_TEST_KEEP"):
            afterwards.callback(second.stop, other)
        internet = Internet(leads, second.DEVICES)
        afterwards.callback(internet.end)
        _load(folder, cluster, other)
        ca = authority.make(folder)
        for side, address in ((hub, SITE), (outpost, THERE)):
            certificate, key = authority.sign(folder, side.name, f"IP:{address}")
            side.forget(wait=True)
            side.cluster.kubectl("create", "namespace", side.name)
            side.kubectl("create", "secret", "generic", "files", f"--from-file=ca.pem={ca}", f"--from-file=tls.pem={certificate}", f"--from-file=tls.key={key}")
        if not os.environ.get("ELABS_TEST_KEEP"):
            afterwards.callback(hub.forget, wait=False)
        _install_outpost(outpost)
        _introduce(folder, hub, outpost)
        hub.helm("install", HUB_SETTINGS)
        hub.port(f"{HUB}-proxy", PAGE_PORT)
        hub.kubectl("rollout", "status", f"deployment/{HUB}-hub", f"--timeout={SECONDS}s")
        hub.kubectl("rollout", "status", f"deployment/{HUB}-proxy", f"--timeout={SECONDS}s")
        yield Clouds(hub, outpost, internet, ca)


COMMON: dict[str, Any] = {
    "image": "small",
    "apps": [],
    "sizes": {"tiny": {"memory": "512M", "cpu": 1, "cpu_request": 0.01, "memory_request": "128M"}},
    "site": {"url": f"https://{SITE}", "tls": {"certificate": "tls.pem", "key": "tls.key"}},
}
KUBERNETES: dict[str, Any] = {
    "files": "files",
    "ca": "ca.pem",
    "service": {"type": "NodePort"},
    "images": {"tag": TAG, "ahead": False, "labs": {"small": f"elabs/lab-small:{TAG}"}},
}
HUB_SETTINGS = COMMON | {
    "labs": {"start_timeout": "2m", "next_cluster_after": "3s", "network": {"allow": [f"{THERE}/32"]}},
    "storage": {"home": {"size": "64M"}},
    # only the other cluster has a node with that label, so at home there is never room for the second
    "profiles": {
        "there": {"title": "There", "size": "tiny", "order": 1, "clusters": ["other"]},
        "either": {"title": "Either", "size": "tiny", "order": 2, "clusters": ["home", "other"], "placement": "spill-over", "nodes": {"selector": {"cloud": "b"}}},
        "cheapest": {"title": "Cheapest", "size": "tiny", "order": 3, "clusters": ["home", "other"], "placement": "cheapest"},
    },
    "clusters": {
        "other": {
            "kubeconfig": "outpost", "namespace": OUTPOST, "release": OUTPOST, "url": f"https://{THERE}", "proxy_api": f"https://{THERE}:8001",
            "homes": "separate", "price": 0.5,
        }
    },
    "kubernetes": KUBERNETES | {"price": 1},
}  # fmt: skip


def _load(folder: Path, *clusters: Cluster) -> None:
    state = State(state_folder())
    for image, reference in (("hub", f"elabs/hub:{TAG}"), ("small", f"elabs/lab-small:{TAG}")):
        build(state, image, lambda fraction, text: None)
        archive = oci.archive(state, image, folder / f"{image}.tar", reference, lambda fraction, text: None)
        for cluster in clusters:
            cluster.load(archive, reference)
        archive.unlink()


def _install_outpost(outpost: Side) -> None:
    outpost.cluster.kubectl("label", "node", "--all", "cloud=b", "--overwrite")
    kubernetes = KUBERNETES | {"images": KUBERNETES["images"] | {"ahead": True}, "outpost": {"hub": f"https://{SITE}", "api": {"type": "NodePort"}}}
    said = outpost.helm("install", COMMON | {"labs": {"network": {"allow": [f"{SITE}/32"]}}, "kubernetes": kubernetes})
    assert f"outpost of https://{SITE}" in said
    outpost.port(f"{OUTPOST}-proxy", PAGE_PORT)
    outpost.port(f"{OUTPOST}-proxy-api", API_PORT)
    outpost.kubectl("rollout", "status", f"deployment/{OUTPOST}-proxy", f"--timeout={SECONDS}s")


def _introduce(folder: Path, hub: Side, outpost: Side) -> None:
    """What the outpost's notes say: an account there and the token of the proxy, handed to the hub."""
    until("the account's token", answers(lambda: outpost.secret(f"{OUTPOST}-hub-account", "token")))
    config = folder / "outpost.kubeconfig"
    (folder / "outpost.crt").write_text(outpost.secret(f"{OUTPOST}-hub-account", "ca.crt"))
    for args in (
        ("set-cluster", "outpost", "--embed-certs", f"--certificate-authority={folder / 'outpost.crt'}", f"--server=https://{THERE}:6443"),
        ("set-credentials", "hub", f"--token={outpost.secret(f'{OUTPOST}-hub-account', 'token')}"),
        ("set-context", "outpost", "--cluster=outpost", "--user=hub"),
        ("use-context", "outpost"),
    ):
        subprocess.run([helm.program("kubectl"), "config", f"--kubeconfig={config}", *args], stdout=subprocess.DEVNULL, timeout=60, check=True)
    (folder / "outpost.token").write_text(outpost.secret(f"{OUTPOST}-secrets", "proxy_token"))
    hub.kubectl("create", "secret", "generic", "outpost", f"--from-file=kubeconfig={config}", f"--from-file=proxy_token={folder / 'outpost.token'}")


def test_a_lab_in_the_other_cluster_is_used_as_any_other(clouds: Clouds) -> None:
    visit = clouds.visit("colibri")
    visit.start({"profile": "there"})
    assert [pod["metadata"]["name"] for pod in clouds.outpost.pods("lab")] == ["lab-colibri"]
    assert clouds.hub.pods("lab") == []
    visit.enter()
    kernel = visit.kernel()
    assert visit.run(kernel, "6 * 7").text == "42"
    visit.api("PUT", "contents/note.txt", json={"type": "file", "format": "text", "content": "there"})
    assert visit.file("note.txt") == b"there"


def test_hub_and_lab_know_each_other_by_public_addresses_alone(clouds: Clouds) -> None:
    visit = clouds.visit("colibri")
    visit.enter()
    kernel = visit.kernel()
    environment = visit.run(kernel, "import os; print({k: v for k, v in os.environ.items() if 'JUPYTERHUB' in k and 'TOKEN' not in k})").text
    assert f"https://{SITE}/hub/api" in environment
    server = clouds.visit("admin").hub("GET", "users/colibri", params={"include_stopped_servers": "1"}).json()["servers"][""]
    assert server["ready"]
    (lab,) = clouds.outpost.pods("lab")
    (hub,) = clouds.hub.pods("hub")
    lab_address, hub_address = lab["status"]["podIP"], hub["status"]["podIP"]
    assert hub_address not in environment
    # a lab whose token is checked by the hub: its requests came from the other cluster to the site's page, and by no other way
    reach = "import socket\ntry:\n socket.create_connection(({0!r}, {1}), 3); print('reached')\nexcept OSError as error: print('not reached')"
    assert visit.run(kernel, reach.format(hub_address, 8081)).text.strip() == "not reached"
    assert visit.run(kernel, reach.format(SITE, 443)).text.strip() == "reached"
    from_hub = clouds.hub.kubectl("exec", f"deployment/{HUB}-hub", "--", "python3", "-c", reach.format(lab_address, 8888))
    assert from_hub.strip() == "not reached"
    came = set(clouds.internet.came)
    assert (lab_address, SITE_PAGE) in came
    assert (hub_address, OUTPOST_API) in came
    assert (hub_address, OUTPOST_KUBERNETES) in came
    (proxy,) = clouds.hub.pods("proxy")
    assert (proxy["status"]["podIP"], OUTPOST_PAGE) in came


def test_what_people_run_in_labs_believes_the_institutes_own_authority(clouds: Clouds) -> None:
    visit = clouds.visit("colibri")
    visit.enter()
    kernel = visit.kernel()
    for code in (
        f"import urllib.request; urllib.request.urlopen('https://{SITE}/hub/health').status",
        f"import requests; requests.get('https://{SITE}/hub/health').status_code",
        f"import subprocess; subprocess.run(['curl', '-sS', '-o', '/dev/null', '-w', '%{{http_code}}', 'https://{SITE}/hub/health'], capture_output=True, text=True).stdout",
    ):
        assert visit.run(kernel, code).text.strip("'\n") == "200", code


def test_a_lab_outlives_both_proxies_and_the_hub(clouds: Clouds) -> None:
    visit = clouds.visit("colibri")
    visit.enter()
    kernel = visit.kernel()
    visit.run(kernel, "kept = 'in memory'")
    before = clouds.outpost.pods("lab")[0]["metadata"]["uid"]
    clouds.outpost.kubectl("delete", "pod", "-l", "component=proxy", "--wait=true")
    until("the outpost's proxy knows the lab again", answers(lambda: visit.run(kernel, "print(kept)", timeout=10).text == "in memory\n"))
    clouds.hub.kubectl("delete", "pod", "-l", "component in (hub, proxy)", "--wait=true")
    until("the lab is there again", answers(lambda: visit.run(kernel, "print(kept)", timeout=10).text == "in memory\n"))
    until("the hub knows it", answers(lambda: clouds.visit("colibri").server()["ready"]))  # type: ignore[index]
    assert clouds.outpost.pods("lab")[0]["metadata"]["uid"] == before


def test_a_full_home_cluster_spills_over(clouds: Clouds) -> None:
    visit = clouds.visit("lince")
    visit.start({"profile": "either"})
    assert [pod["metadata"]["name"] for pod in clouds.hub.pods("lab")] == []
    assert "lab-lince" in [pod["metadata"]["name"] for pod in clouds.outpost.pods("lab")]
    visit.enter()
    assert visit.run(visit.kernel(), "1 + 1").text == "2"
    visit.stop()
    until("the pod is gone", lambda: "lab-lince" not in [pod["metadata"]["name"] for pod in clouds.outpost.pods("lab")])


def test_a_cluster_that_does_not_answer_keeps_its_labs_and_gets_no_new_ones(clouds: Clouds) -> None:
    before = clouds.outpost.pods("lab")[0]["metadata"]["uid"]
    for place in (OUTPOST_PAGE, OUTPOST_API, OUTPOST_KUBERNETES):
        clouds.internet.cut(place)
    try:
        _cheapest_is_at_home(clouds)
        clouds.hub.kubectl("delete", "pod", "-l", "component=hub", "--wait=true")
        clouds.hub.kubectl("rollout", "status", f"deployment/{HUB}-hub", f"--timeout={SECONDS}s")
        visit = until("somebody can log in", answers(lambda: clouds.visit("colibri")))
        time.sleep(15)  # several polls
        server = visit.server()
        assert server is not None
        assert server["ready"]
        _cheapest_is_at_home(clouds)
    finally:
        for place in (OUTPOST_PAGE, OUTPOST_API, OUTPOST_KUBERNETES):
            clouds.internet.mend(place)
    until("the lab is there again", answers(lambda: visit.enter() or True))
    assert clouds.outpost.pods("lab")[0]["metadata"]["uid"] == before


def _cheapest_is_at_home(clouds: Clouds) -> None:
    lince = clouds.visit("lince")
    lince.start({"profile": "cheapest"})
    assert [pod["metadata"]["name"] for pod in clouds.hub.pods("lab")] == ["lab-lince"]
    lince.stop()


def test_the_cheapest_is_taken_while_it_answers(clouds: Clouds) -> None:
    visit = clouds.visit("lince")

    def there() -> bool:
        visit.start({"profile": "cheapest"})
        found = "lab-lince" in [pod["metadata"]["name"] for pod in clouds.outpost.pods("lab")]
        visit.stop()
        return found

    until("the cheaper cluster is tried first again, a minute after it answered", there)


def test_a_stop_ends_the_pod_and_the_route_there(clouds: Clouds) -> None:
    visit = clouds.visit("colibri")
    visit.stop()
    until("the pod is gone", lambda: clouds.outpost.pods("lab") == [])
    again = visit.session
    until("its route is gone", answers(lambda: again.get(f"https://{THERE}/user/colibri/api", timeout=5).status_code == 404))
