"""What the cluster says of a pod -> what it means for the person: how far the start is, why it cannot go on, why a lab ended. Pure, over plain dictionaries as
the API gives them; the cluster's own words go to the log, never to the person.
"""

import re
from dataclasses import dataclass
from typing import Any

Pod = dict[str, Any]
Event = dict[str, Any]

_IMAGE = {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ErrInspectImage"}
_BROKEN = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
_VOLUME_EVENTS = {"FailedMount", "FailedAttachVolume", "FailedMapVolume", "ProvisioningFailed"}


@dataclass(frozen=True)
class Stage:
    """Where a start is: `key` below `stage.` in the texts, `percent` of it behind."""

    percent: int
    key: str


@dataclass(frozen=True)
class Refusal:
    """Why a start cannot go on: `code` below `refused.` in the texts, and the cluster's own line for the log."""

    code: str
    line: str


@dataclass(frozen=True)
class End:
    """Why a lab that ran is over: `reason` below `ended.` in the texts, and the cluster's own line."""

    reason: str
    line: str


def stage(pod: Pod | None, events: list[Event]) -> Stage:
    """How far the start of a lab is; `events` are those of its pod, oldest first."""
    if pod is None:
        return Stage(5, "home")
    status = pod.get("status") or {}
    waiting = _waiting(status)
    if _running(status):
        return Stage(80, "server")
    if waiting in _IMAGE or waiting == "ErrImagePull":
        return Stage(40, "image-trouble")
    if not _scheduled(status):
        why = _unscheduled(status)
        if why is None:
            return Stage(10, "container")
        return Stage(10, "volume" if "persistentvolumeclaim" in why.lower() else "room")
    reasons = [event.get("reason") for event in events]
    if reasons and reasons[-1] in _VOLUME_EVENTS:
        return Stage(20, "volume-trouble")
    if "Pulling" in reasons and "Pulled" not in reasons:
        return Stage(40, "image")
    return Stage(60, "container") if "Pulled" in reasons else Stage(30, "container")


def refusal(pod: Pod | None) -> Refusal | None:
    """Why a start will never succeed, None while it may. Room and volumes may still come; an image that cannot be had, or a server that ended, will not."""
    status = (pod or {}).get("status") or {}
    for container in status.get("containerStatuses") or []:
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated")
        line = f"{waiting.get('reason')}: {waiting.get('message', '')}".strip(": ")
        if waiting.get("reason") in _IMAGE:
            return Refusal("no-image", line)
        if waiting.get("reason") in _BROKEN:
            return Refusal("failed", line)
        if ended:
            return Refusal(
                "memory" if ended.get("reason") == "OOMKilled" else "failed", f"the lab's server ended with {ended.get('exitCode')} before it listened"
            )
    if status.get("phase") == "Failed":
        return Refusal("failed", f"{status.get('reason')}: {status.get('message', '')}".strip(": "))
    return None


def late(pod: Pod | None, events: list[Event]) -> Refusal:
    """Why a start did not end in time."""
    if pod is None:
        return Refusal("timeout", "its pod never appeared")
    status = pod.get("status") or {}
    why = _unscheduled(status)
    if why is not None:
        return Refusal("no-home" if "persistentvolumeclaim" in why.lower() else "no-room", why)
    troubles = [event for event in events if event.get("reason") in _VOLUME_EVENTS]
    if troubles and not _running(status):
        return Refusal("no-home", str(troubles[-1].get("message", "")))
    if _waiting(status) == "ErrImagePull":
        return Refusal("no-image", "its image is still not there")
    return Refusal("timeout", f"its pod is {status.get('phase')}")


def end(pod: Pod | None) -> End:
    """Why a lab is over, from the last that was seen of its pod. The cluster's own reason comes first: a server that it stops ends as one that fails does."""
    status = (pod or {}).get("status") or {}
    ended = next((found for one in status.get("containerStatuses") or [] if (found := (one.get("state") or {}).get("terminated"))), None)
    if ended and ended.get("reason") == "OOMKilled":
        return End("memory", f"OOMKilled, exit code {ended.get('exitCode')}")
    if status.get("reason") == "Evicted":
        return End("evicted", str(status.get("message", "")))
    disruption = next((one for one in status.get("conditions") or [] if one.get("type") == "DisruptionTarget" and one.get("status") == "True"), None)
    if disruption:
        return End("evicted" if "Preemption" in str(disruption.get("reason")) else "node", f"{disruption.get('reason')}: {disruption.get('message', '')}")
    if status.get("reason") in ("NodeLost", "Shutdown", "Terminated"):
        return End("node", f"{status.get('reason')}: {status.get('message', '')}")
    if ended and "deletionTimestamp" not in ((pod or {}).get("metadata") or {}):
        return End("crashed", f"{ended.get('reason')}, exit code {ended.get('exitCode')}")
    return End("administrator", "its pod was removed")


def terminated(pod: Pod | None) -> bool:
    """Whether a lab's server has ended, or its pod is gone."""
    if pod is None:
        return True
    status = pod.get("status") or {}
    return status.get("phase") in ("Failed", "Succeeded") or any((one.get("state") or {}).get("terminated") for one in status.get("containerStatuses") or [])


def summary(event: Event) -> str:
    """An event of the cluster in one line, for the log."""
    return re.sub(r"\s+", " ", f"{event.get('reason')}: {event.get('message', '')}")[:300]


def _running(status: dict[str, Any]) -> bool:
    return any((container.get("state") or {}).get("running") for container in status.get("containerStatuses") or [])


def _waiting(status: dict[str, Any]) -> str | None:
    for container in status.get("containerStatuses") or []:
        if waiting := (container.get("state") or {}).get("waiting"):
            return str(waiting.get("reason"))
    return None


def _scheduled(status: dict[str, Any]) -> bool:
    return any(one.get("type") == "PodScheduled" and one.get("status") == "True" for one in status.get("conditions") or [])


def _unscheduled(status: dict[str, Any]) -> str | None:
    """Why the scheduler has no node for it, None where it said nothing."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message", ""))
    return None
