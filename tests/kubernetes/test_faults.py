"""What goes wrong in a cluster, on a real one: the hub's pod gone, a watch that ends, labs that end or cannot start. Twenty people, by the escape hatch."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from elabs.cli.visit import Visit
from tests.kubernetes.conftest import SETTINGS, Cluster, Release, eventually

PASSWORD = "three-eggs"
SNIPPET = f"""
from elabs.hub.cluster.queue import Queue
from elabs.hub.cluster.spawner import ClusterSpawner
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "{PASSWORD}"
c.Authenticator.allow_all = True
c.Authenticator.manage_groups = False
ClusterSpawner.queue = Queue(4)
"""
MANY: dict[str, Any] = {
    **SETTINGS,
    "hub": {"snippets": "hub.d"},
    "kubernetes": {**SETTINGS["kubernetes"], "files": "elabs-files", "images": {"ahead": False}},
}


class Town(Release):
    """A release that anybody enters."""

    def visit(self, name: str = "ana", language: str = "en") -> Visit:
        visit = Visit(self.base, name, PASSWORD)
        visit.session.headers["Accept-Language"] = language
        visit.login()
        return visit

    def use(self, **changes: Any) -> None:
        """As Release.use, with what lets anybody in."""
        super().use(**{**MANY, **changes})


@pytest.fixture(scope="module")
def town(cluster: Cluster, images: dict[str, str]) -> Iterator[Town]:
    namespace = "elabs-faults"
    cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait")
    cluster.kubectl("create", "namespace", namespace)
    found = Town(cluster, namespace, settings=MANY)
    found.kubectl("create", "secret", "generic", "elabs-files", f"--from-literal=10-anybody.py={SNIPPET}")
    try:
        found.install()
        yield found
    finally:
        found.remove()


def refused(visit: Visit, seconds: float = 90) -> tuple[str, list[str]]:
    """Start a lab that cannot start: what the person reads at the end, and the stages meanwhile."""
    messages: list[str] = []
    answer = visit.hub("POST", f"users/{visit.name}/server", json={}, timeout=seconds)
    if answer.status_code == 202:
        for event in visit.progress(seconds):
            messages.append(event.get("message", ""))
            if event.get("failed") or event.get("ready"):
                break
        return messages[-1], messages
    assert answer.status_code >= 400, "it started"
    return answer.json()["message"], messages


def labs(town: Town) -> set[str]:
    """Uids of the labs' pods that run."""
    return {one["metadata"]["uid"] for one in town.get("pods", component="lab") if one["status"]["phase"] == "Running"}


def test_twenty_labs_outlive_the_hub_and_a_storm_of_starts_waits_in_turn(town: Town) -> None:
    people = [town.visit(f"person{number}") for number in range(20)]
    heard: dict[str, list[str]] = {}
    failures: list[str] = []

    def start(visit: Visit) -> None:
        try:
            answer = visit.hub("POST", f"users/{visit.name}/server", json={}, timeout=180)
            assert answer.status_code in (201, 202), answer.text
            if answer.status_code == 202:
                for event in visit.progress(240):
                    heard.setdefault(visit.name, []).append(event.get("message", ""))
                    assert not event.get("failed"), event
                    if event.get("ready"):
                        break
        except Exception as error:
            failures.append(f"{visit.name}: {error!r}")

    threads = [threading.Thread(target=start, args=(visit,)) for visit in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert any("labs start before yours" in message for messages in heard.values() for message in messages), heard
    before = labs(town)
    assert len(before) == 20
    worker = people[7]
    worker.enter()
    kernel = worker.kernel()
    worker.run(kernel, "nest = 'three eggs'")
    town.kubectl("delete", "pod", town.hub_pod(), "--grace-period=0", "--force")
    # the lab is there for its person also while there is no hub
    assert worker.run(kernel, "print(nest)").text.strip() == "three eggs"
    town.wait_for_hub()
    assert labs(town) == before
    for visit in people:
        again = town.visit(visit.name)
        server = again.server()
        assert server and server["ready"], f"{visit.name}'s lab is lost"
        eventually(f"{visit.name}'s lab answers", lambda again=again: again.enter() is None)
    # one after the other would take minutes: the kubelet removes a pod some seconds after it has ended
    with ThreadPoolExecutor(len(people)) as all_at_once:
        list(all_at_once.map(lambda visit: town.visit(visit.name).stop(), people))


def test_a_watch_that_ends_ends_the_hub_and_no_lab(town: Town) -> None:
    """The hub may not list pods any more: its watch gives up, and rather than tell old news for ever, the hub begins anew."""
    visit = town.visit()
    visit.start()
    pod = town.get("pod", "lab-ana")["metadata"]["uid"]
    role = town.get("role", "elabs-hub")
    restarts = lambda: town.get("pod", town.hub_pod())["status"]["containerStatuses"][0]["restartCount"]  # noqa: E731
    before = restarts()
    rules = [{**rule, "verbs": [verb for verb in rule["verbs"] if rule["resources"] != ["pods"] or verb not in ("list", "watch")]} for rule in role["rules"]]
    town.kubectl("patch", "role", "elabs-hub", "--type=merge", "--patch", json.dumps({"rules": rules}))
    try:
        eventually("the hub began anew", lambda: restarts() > before, 180)
    finally:
        town.kubectl("patch", "role", "elabs-hub", "--type=merge", "--patch", json.dumps({"rules": role["rules"]}))
    town.wait_for_hub()
    assert town.get("pod", "lab-ana")["metadata"]["uid"] == pod
    again = town.visit()
    server = again.server()
    assert server and server["ready"]
    again.stop()


def test_a_server_that_ends_is_noticed_and_told(town: Town) -> None:
    visit = town.visit("eva", "es")
    visit.start()
    visit.enter()
    begin = time.monotonic()
    try:
        visit.run(visit.kernel(), "import os, signal; os.kill(os.getppid(), signal.SIGKILL)", 5)
    except Exception:
        pass
    eventually("the hub knows that the lab is gone", lambda: visit.server() is None, 30)
    assert time.monotonic() - begin < 30
    page = visit.get("hub/home").content.decode()
    assert "su servidor terminó" in page.lower() or "terminó por sí" in page, page[-3000:]
    visit.start()
    visit.stop()


def test_a_lab_removed_by_the_cluster_is_told_too(town: Town) -> None:
    visit = town.visit("eva")
    visit.start()
    town.kubectl("delete", "pod", "lab-eva", "--wait=false")
    eventually("the hub knows", lambda: visit.server() is None, 40)
    assert "an administrator stopped it" in visit.get("hub/home").text


def test_a_drain_waits_for_labs(town: Town) -> None:
    visit = town.visit("eva")
    visit.start()
    pod = town.get("pod", "lab-eva")["metadata"]
    eviction = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": "lab-eva", "namespace": town.namespace}}

    def guarded() -> bool:
        return town.get("poddisruptionbudget", "elabs-labs")["status"].get("currentHealthy", 0) >= 1

    eventually("the budget knows the lab", guarded)
    path = f"/api/v1/namespaces/{town.namespace}/pods/lab-eva/eviction"
    with pytest.raises(AssertionError, match="disruption budget"):
        town.kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))
    assert town.get("pod", "lab-eva")["metadata"]["uid"] == pod["uid"]
    visit.stop()


def test_an_evicted_lab_is_told(town: Town) -> None:
    """By the node itself, which ends a lab that fills more of /tmp than is its own."""
    visit = town.visit("eva")
    visit.start()
    visit.enter()
    visit.run(visit.kernel(), "with open('/tmp/fill', 'wb') as file:\n    for _ in range(300): file.write(b'x' * 2**20)")
    eventually("the hub knows", lambda: visit.server() is None, 120)
    assert "needed its room" in visit.get("hub/home").text
    visit.start()
    visit.stop()


def test_out_of_memory_ends_the_kernel_alone(town: Town) -> None:
    visit = town.visit("eva")
    visit.start()
    visit.enter()
    kernel = visit.kernel()
    with pytest.raises(Exception, match=r"did not end|closed|died|Stream"):
        visit.run(kernel, "kept = []\nwhile True: kept.append(b'x' * 2**24)", 40)
    assert visit.run(visit.kernel(), "print(6 * 7)").text.strip() == "42"
    visit.stop()


def test_an_image_that_is_missing(town: Town) -> None:
    town.use(kubernetes={**MANY["kubernetes"], "images": {"ahead": False, "labs": {"small": "elabs/nowhere:1"}}})
    line, _ = refused(town.visit("eva", "es"))
    assert "su imagen todavía no está" in line or "imagen" in line, line
    assert "no-image" in town.hub_log()


def test_no_room(town: Town) -> None:
    town.use(sizes={"medium": {"memory": "900G", "cpu": 1, "memory_request": "900G"}}, labs={"start_timeout": "15s"})
    visit = town.visit("eva", "es")
    line, messages = refused(visit)
    assert "sitio" in line, line
    assert any("Esperando sitio" in message for message in messages), messages
    assert "lab-eva" not in [one["metadata"]["name"] for one in town.get("pods", component="lab")]


def test_a_volume_that_never_comes(town: Town) -> None:
    town.use(kubernetes={**MANY["kubernetes"], "storage_class": "nowhere"}, labs={"start_timeout": "15s"})
    visit = town.visit("new", "es")
    line, messages = refused(visit)
    assert "carpeta" in line, line
    assert any("volumen" in message for message in messages), messages
    town.kubectl("delete", "persistentvolumeclaim", "home-new")
    town.use()
    visit = town.visit("new")
    visit.start()
    visit.stop()


def test_room_kept_free_gives_way_to_a_lab_and_follows_the_clock(town: Town) -> None:
    """Placeholders fill the node; a lab takes the place of one at once."""
    cores = float(json.loads(town.cluster.kubectl("get", "nodes", "--output=json"))["items"][0]["status"]["allocatable"]["cpu"])
    share = round(cores / 3, 2)
    size = {"memory": "512M", "cpu": cores, "memory_request": "64M", "cpu_request": share}
    town.use(
        sizes={"medium": size},
        labs={
            "headroom": {
                "labs": 1,
                "schedule": {"always": {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "start": "00:00", "end": "23:59", "labs": 3}},
            },
            "start_timeout": "60s",
        },
    )
    eventually("the hub follows the schedule", lambda: town.get("statefulset", "elabs-headroom")["spec"]["replicas"] == 3, 90)

    def waiting() -> bool:
        pods = town.get("pods", component="headroom")
        scheduled = [
            one for one in pods if any(condition["type"] == "PodScheduled" and condition["status"] == "True" for condition in one["status"]["conditions"])
        ]
        return len(pods) == 3 and 1 <= len(scheduled) < 3 and all(one["status"]["phase"] == "Running" for one in scheduled)

    def rooms() -> set[str]:
        return {one["metadata"]["uid"] for one in town.get("pods", component="headroom") if one["status"]["phase"] == "Running"}

    eventually("the node is full", waiting)
    before = rooms()
    visit = town.visit("eva")
    visit.start()
    assert before - rooms(), "nobody gave way"
    visit.stop()
    town.use()


def test_a_name_that_two_people_could_share_is_two_pods(town: Town) -> None:
    names = ["ana maría", "ana-mar-a", "ana maria"]
    visits = []
    for name in names:
        visit = town.visit(name)
        visit.start()
        visits.append(visit)
    pods = {one["metadata"]["annotations"]["hub.jupyter.org/username"]: one["metadata"]["name"] for one in town.get("pods", component="lab")}
    assert len({pods[name] for name in names}) == 3
    for visit in visits:
        visit.stop()
