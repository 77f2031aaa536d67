"""The chart, rendered by helm for tests."""

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests import tools
from tests.live import ROOT

CHART = ROOT / "charts/elabs"
MODERN = ("policy/v1/PodDisruptionBudget", "networking.k8s.io/v1/Ingress", "gateway.networking.k8s.io/v1/HTTPRoute")


@cache
def program(name: str) -> str:
    """Path of `helm` or `kubectl`."""
    return str(tools.cluster_tools() / name)


def run(values: str, *arguments: str, release: str = "elabs", namespace: str = "research") -> subprocess.CompletedProcess[str]:
    """`helm template` with those values, as text of YAML."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(values)
        file.flush()
        command = [program("helm"), "template", release, str(CHART), "--namespace", namespace, "--values", file.name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def rendered(values: Any = None, *arguments: str) -> list[dict[str, Any]]:
    """The chart's objects; AssertionError with helm's words where it refuses."""
    versions = [word for version in MODERN for word in ("--api-versions", version)]
    done = run(json.dumps(values or {}), *versions, *arguments)
    assert done.returncode == 0, done.stderr
    return [found for found in YAML(typ="safe", pure=True).load_all(done.stdout) if found]


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The one object of that kind and name."""
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def pod_specs(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The specs of all pods that the objects make, by kind and name."""
    return {f"{one['kind']}/{one['metadata']['name']}": one["spec"]["template"]["spec"] for one in objects if "template" in one.get("spec", {})}


def refused(values: str, *arguments: str) -> str:
    """What helm says of values that it refuses; empty where it takes them."""
    done = run(values, *arguments)
    return done.stderr if done.returncode else ""


def path_of(name: str) -> Path:
    """A file of the chart."""
    return CHART / name
