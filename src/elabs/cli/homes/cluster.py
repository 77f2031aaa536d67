"""The homes of a release in a cluster: claims `home-…` of its namespace. A home is read and written by a pod of its own, `move-…`, there only meanwhile.

The pod of a run that was killed is replaced, and with it whatever still ran there; where nobody comes back, it ends by itself after some minutes.
"""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from elabs.cli.errors import Problem
from elabs.cli.homes import Row
from elabs.cli.homes.kubectl import Kubectl
from elabs.cli.output import say
from elabs.config.model import Config
from elabs.runtime.kubernetes import labs, moving
from elabs.runtime.kubernetes.quantity import quantity
from elabs.storage.slugs import is_slug, slug
from elabs.storage.transfer.wire import Wire

_PREFIX = labs.claim_name("")
_START_SECONDS = 300.0
_HOPELESS = {"ErrImageNeverPull", "InvalidImageName", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError", "CreateContainerError"}


class Cluster:
    """A Place."""

    def __init__(self, config: Config, namespace: str | None, context: str | None) -> None:
        self._config, self._kubectl = config, Kubectl(namespace, context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is held between two questions."""

    def rows(self) -> list[Row]:
        """The homes there are."""
        users = _users(self._kubectl.get("pods").get("items", []))
        claims = self._kubectl.get("persistentvolumeclaims").get("items", [])
        found = [_row(claim, users) for claim in claims if is_home(claim["metadata"]["name"])]
        return sorted(found, key=lambda row: row.home)

    def slug_of(self, name: str) -> str:
        """The slug of the person NAME; a slug that was made of a name, as lists show it, is its own where there is a home of it."""
        if is_slug(name) and slug(name) != name and self._kubectl.get("persistentvolumeclaim", labs.claim_name(name)):
            return name
        return slug(name)

    def find(self, name: str) -> Row:
        """The home of NAME. Problem where there is none."""
        home = self.slug_of(name)
        claim = self._kubectl.get("persistentvolumeclaim", labs.claim_name(home))
        if not claim:
            raise Problem(f"{name!r} has no home in this namespace of the cluster; elabs home list --cluster names those there are")
        return _row(claim, _users(self._kubectl.get("pods").get("items", [])))

    def used_by(self, home: str) -> str | None:
        """The pod that has the home."""
        pod = _users(self._kubectl.get("pods").get("items", [])).get(labs.claim_name(home))
        return _called(pod) if pod else None

    @contextmanager
    def reading(self, home: str) -> Iterator[Wire]:
        """An agent in a pod."""
        user = _users(self._kubectl.get("pods").get("items", [])).get(labs.claim_name(home))
        with self._agent(home, user["spec"].get("nodeName") if user else None) as wire:
            yield wire

    @contextmanager
    def writing(self, name: str) -> Iterator[Wire]:
        """An agent in a pod, with a new claim where NAME has none."""
        home = self.slug_of(name)
        if not self._kubectl.get("persistentvolumeclaim", labs.claim_name(home)):
            self._kubectl.run("create", "--filename=-", stdin=json.dumps(moving.claim(self._config, home, name)))
        with self._agent(home, None) as wire:
            yield wire

    def delete(self, row: Row) -> str:
        """Delete the claim; what becomes of the volume is its class's to say."""
        claim = self._kubectl.get("persistentvolumeclaim", labs.claim_name(row.home))
        volume = self._kubectl_volume(claim.get("spec", {}).get("volumeName"))
        self._kubectl.run("delete", "persistentvolumeclaim", labs.claim_name(row.home), "--wait=false")
        if volume.get("spec", {}).get("persistentVolumeReclaimPolicy") == "Retain":
            return f"its storage class retains volumes: the data stays in {volume['metadata']['name']} until that is deleted too"
        return "its volume goes with it"

    def _kubectl_volume(self, name: str | None) -> dict[str, Any]:
        try:
            return self._kubectl.get("persistentvolume", name) if name else {}
        except Problem:  # volumes belong to the whole cluster, and not everybody may see them
            return {}

    @contextmanager
    def _agent(self, home: str, node: str | None) -> Iterator[Wire]:
        name = moving.pod_name(home)
        self._remove(name, wait=True)
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._kubectl.run("create", "--filename=-", stdin=json.dumps(moving.pod(self._config, home, node)))
            self._started(name)
            with self._kubectl.process(name, [*moving.AGENT, moving.FOLDER]) as wire:
                yield wire
        finally:
            signal.signal(signal.SIGTERM, before)
            try:
                self._remove(name, wait=False)
            except Problem as error:
                say(f"the pod {name} could not be removed, and ends by itself in some minutes: {error}")

    def _remove(self, pod: str, *, wait: bool) -> None:
        self._kubectl.run("delete", "pod", pod, "--ignore-not-found", "--grace-period=1", f"--wait={str(wait).lower()}", seconds=120)

    def _started(self, name: str) -> None:
        end, why = time.monotonic() + _START_SECONDS, ""
        while time.monotonic() < end:
            phase, why, hopeless = state(self._kubectl.get("pod", name))
            if phase == "Running":
                return
            if hopeless:
                break
            time.sleep(0.3)
        raise Problem(f"the pod {name} does not start: {why or 'nothing says why'}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def is_home(claim: str) -> bool:
    """Whether a claim of that name is a home."""
    return claim.startswith(_PREFIX) and is_slug(claim.removeprefix(_PREFIX))


def state(pod: dict[str, Any]) -> tuple[str, str, bool]:
    """A pod's phase, why it does not run, and whether it never will; pure."""
    status = pod.get("status", {})
    phase = str(status.get("phase", "gone"))
    for container in status.get("containerStatuses", []):
        for kind in ("waiting", "terminated"):
            if found := container.get("state", {}).get(kind):
                reason = found.get("reason", "")
                return phase, ": ".join(filter(None, (reason, found.get("message")))), kind == "terminated" or reason in _HOPELESS
    for condition in status.get("conditions", []):
        if condition.get("status") == "False" and condition.get("message"):
            return phase, str(condition["message"]), phase == "Failed"
    return phase, str(status.get("message", "")), phase in ("Failed", "gone")


def _users(pods: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By claim, the pod that has it, those that move homes aside."""
    found = {}
    for pod in pods:
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed") or pod["metadata"].get("labels", {}).get("component") == moving.COMPONENT:
            continue
        for volume in pod["spec"].get("volumes", []):
            if claim := volume.get("persistentVolumeClaim", {}).get("claimName"):
                found[claim] = pod
    return found


def _called(pod: dict[str, Any]) -> str:
    name = str(pod["metadata"]["name"])
    return "the lab" if pod["metadata"].get("labels", {}).get("component") == labs.COMPONENT else f"the pod {name}"


def _row(claim: dict[str, Any], users: dict[str, dict[str, Any]]) -> Row:
    name = claim["metadata"]["name"]
    size = claim.get("status", {}).get("capacity", {}).get("storage") or claim["spec"]["resources"]["requests"]["storage"]
    user = users.get(name)
    person = claim["metadata"].get("annotations", {}).get(moving.PERSON)
    return Row(name.removeprefix(_PREFIX), person, None, quantity(size), _called(user) if user else None)
