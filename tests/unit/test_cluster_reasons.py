"""What a pod's state means for a person, over what real clusters say."""

from typing import Any

import pytest

from elabs.hub.cluster import reasons
from elabs.hub.cluster.reasons import Stage


def pod(phase: str = "Pending", scheduled: bool | str = True, container: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """A pod; `scheduled` is what the scheduler says where it has no node, `container` the state of its one container."""
    condition = {"type": "PodScheduled", "status": "True"} if scheduled is True else {"type": "PodScheduled", "status": "False", "message": scheduled}
    found: dict[str, Any] = {"phase": phase, "conditions": [condition], **status}
    if container:
        found["containerStatuses"] = [{"name": "notebook", "state": container}]
    return {"metadata": {"name": "lab-lince", "uid": "1"}, "status": found}


def waits(reason: str) -> dict[str, Any]:
    return pod(container={"waiting": {"reason": reason, "message": 'Back-off pulling image "x"'}})


def event(reason: str, message: str = "") -> dict[str, Any]:
    return {"reason": reason, "message": message}


NO_MEMORY = "0/3 nodes are available: 1 node(s) had taint {x: }, that the pod didn't tolerate, 2 Insufficient memory."
UNBOUND = "0/3 nodes are available: 3 pod has unbound immediate PersistentVolumeClaims."
ENDED = {"terminated": {"reason": "Error", "exitCode": 1}}
KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
RUNS = {"running": {"startedAt": "2026-11-25T10:00:00Z"}}
PULLING = [event("Scheduled"), event("Pulling")]

STARTS: list[tuple[dict[str, Any] | None, list[dict[str, Any]]]] = [
    (None, []),
    (pod(scheduled=NO_MEMORY), []),
    (pod(scheduled=UNBOUND), []),
    (pod(), [event("Scheduled")]),
    (pod(), [event("Scheduled"), event("FailedMount", "timed out")]),
    (waits("ContainerCreating"), PULLING),
    (waits("ErrImagePull"), [*PULLING, event("Failed")]),
    (waits("ContainerCreating"), [*PULLING, event("Pulled")]),
    (pod("Running", container=RUNS), [*PULLING, event("Pulled"), event("Started")]),
]
"""A start, from nothing to running, with all that can hold it up."""


def test_a_start_is_told_in_stages() -> None:
    found = [reasons.stage(pod, events) for pod, events in STARTS]
    keys = ["home", "room", "volume", "container", "volume-trouble", "image", "image-trouble", "container", "server"]
    assert [stage.key for stage in found] == keys
    assert all(0 < stage.percent < 100 for stage in found)
    assert found[-1] == Stage(80, "server")


def test_a_pod_of_which_nothing_is_known_yet_is_at_the_beginning() -> None:
    assert reasons.stage({"metadata": {}, "status": {}}, []) == Stage(10, "container")


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"])
def test_an_image_that_cannot_be_had_ends_a_start(reason: str) -> None:
    refused = reasons.refusal(waits(reason))
    assert refused and refused.code == "no-image" and refused.line.startswith(f"{reason}: Back-off")


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (waits("CreateContainerConfigError"), "failed"),
        (pod("Failed", container=ENDED), "failed"),
        (pod("Failed", container=KILLED), "memory"),
        (pod("Failed", reason="OutOfmemory", message="Node didn't have enough resource"), "failed"),
    ],
)
def test_a_server_that_ended_ends_a_start(found: dict[str, Any], code: str) -> None:
    refused = reasons.refusal(found)
    assert refused and refused.code == code and refused.line


@pytest.mark.parametrize("found", [None, pod(), pod(scheduled=NO_MEMORY), pod(scheduled=UNBOUND), waits("ErrImagePull"), pod("Running", container=RUNS)])
def test_what_may_still_come_ends_no_start(found: dict[str, Any] | None) -> None:
    assert reasons.refusal(found) is None


@pytest.mark.parametrize(
    ("found", "events", "code"),
    [
        (None, [], "timeout"),
        (pod(scheduled=NO_MEMORY), [], "no-room"),
        (pod(scheduled=UNBOUND), [], "no-home"),
        (pod(), [event("FailedMount", "timed out waiting for the condition")], "no-home"),
        (waits("ErrImagePull"), [], "no-image"),
        (pod("Running", container=RUNS), [event("FailedMount"), event("Started")], "timeout"),
    ],
)
def test_why_a_start_took_too_long(found: dict[str, Any] | None, events: list[dict[str, Any]], code: str) -> None:
    assert reasons.late(found, events).code == code


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (pod("Failed", container=KILLED), "memory"),
        (pod("Failed", container=ENDED), "crashed"),
        (pod("Succeeded", container={"terminated": {"reason": "Completed", "exitCode": 0}}), "crashed"),
        (pod("Failed", reason="Evicted", message="The node was low on resource: memory."), "evicted"),
        (pod("Failed", container=ENDED, reason="Evicted"), "evicted"),
        (pod("Failed", container=KILLED, reason="Evicted"), "memory"),
        (pod("Failed", reason="NodeLost"), "node"),
        (pod("Failed", container=ENDED, reason="Terminated"), "node"),
        ({"status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]}}, "evicted"),
        ({"status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}]}}, "node"),
        (pod("Running", container=RUNS), "administrator"),
        # stopped by the cluster, which asks the server to end before it removes the pod
        ({"metadata": {"deletionTimestamp": "2026-11-25T10:00:00Z"}, "status": pod("Running", container=ENDED)["status"]}, "administrator"),
        ({"metadata": {"deletionTimestamp": "2026-11-25T10:00:00Z"}, "status": pod("Running", container=KILLED)["status"]}, "memory"),
        (None, "administrator"),
    ],
)
def test_why_a_lab_ended(found: dict[str, Any] | None, reason: str) -> None:
    assert reasons.end(found).reason == reason


def test_what_is_over() -> None:
    assert reasons.terminated(None)
    assert reasons.terminated(pod("Failed", reason="Evicted"))
    assert reasons.terminated(pod("Running", container=ENDED))
    assert not reasons.terminated(pod("Running", container=RUNS))
    assert not reasons.terminated(pod())


def test_an_event_is_one_line() -> None:
    assert reasons.summary(event("FailedMount", "a\n  b" + "x" * 500)) == ("FailedMount: a b" + "x" * 500)[:300]
