"""What an OCI image has beyond its root file system: our code as a last layer, an account to run as, and what it runs.

On one machine the runtime binds and sets all of this when a lab starts. Pure functions from a finished image to tar members and JSON.
"""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import elabs
from elabs.runtime import code
from elabs.runtime.code import PLACE
from elabs.runtime.environment import LAB_COMMAND
from elabs.runtime.images import layers
from elabs.runtime.images.definition import PROJECT, Definition
from elabs.runtime.images.layers import Layer, Member
from elabs.runtime.images.steps import NODE
from elabs.runtime.images.store import Image
from elabs.storage.ids import LAB_ID

_PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}
_INIT = ["/usr/bin/tini", "-g", "--"]


@dataclass(frozen=True)
class Kind:
    """What sets the image of labs and that of the hub apart."""

    account: str
    home: Path
    shell: str
    files: list[tuple[Path, Path]]
    """Our code: (file here, path below /opt/elabs)."""
    folders: tuple[Path, ...]
    """Folders of the account alone."""
    environment: dict[str, str]
    command: list[str]


def kind(wanted: Definition) -> Kind:
    """Of an image for labs, or of the hub's."""
    if wanted.lab:
        home = Path("/home/lab")
        return Kind(
            account="lab",
            home=home,
            shell="/bin/bash",
            files=code.lab_files(PROJECT / "examples"),
            folders=(home, Path("/run/lab")),
            environment={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(home),
                "SHELL": "/bin/bash",
                "LANG": "C.UTF-8",
                "TMPDIR": "/tmp",
                "XDG_RUNTIME_DIR": "/run/lab",
                "JUPYTER_RUNTIME_DIR": "/run/lab/jupyter",
            },
            command=LAB_COMMAND,
        )
    home = Path("/var/lib/elabs")
    return Kind(
        account="elabs",
        home=home,
        shell="/usr/sbin/nologin",
        files=code.hub_files(),
        folders=(home,),
        environment={"PATH": f"/{NODE}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "ELABS_STATE": str(home)},
        command=["/usr/bin/python3", "-s", "-P", "-m", "elabs.hub"],
    )


def last_layer(image: Image, kind: Kind) -> list[Member]:
    """Our code, and the account in what the image itself has for accounts. OSError where one of them cannot be read."""
    account = f"{kind.account}:x:{LAB_ID}:{LAB_ID}:{kind.account}:{kind.home}:{kind.shell}\n"
    group = f"{kind.account}:x:{LAB_ID}:\n"
    members = [
        layers.own(Path("/etc/passwd"), (image.rootfs / "etc/passwd").read_bytes() + account.encode(), 0o644),
        layers.own(Path("/etc/group"), (image.rootfs / "etc/group").read_bytes() + group.encode(), 0o644),
        *(layers.own(folder, None, 0o700, LAB_ID) for folder in kind.folders),
    ]
    parents = {parent for _, inner in kind.files for parent in inner.parents}
    members += [layers.own(PLACE / parent, None, 0o755) for parent in parents]
    members += [layers.own(PLACE / inner, file.read_bytes(), 0o644) for file, inner in kind.files]
    return sorted(members, key=lambda member: member.info.name)


def architecture() -> str:
    """This machine's processor as registries write it; images are built for it alone."""
    return _PROCESSORS.get(platform.machine(), platform.machine())


def config(image: Image, wanted: Definition, kind: Kind, found: list[Layer]) -> dict[str, Any]:
    """The image's configuration; the same for the same image and layers, since its date is the image's own."""
    history = [f"elabs image build {image.name} ({image.key})", f"elabs image oci {image.name} (elabs {elabs.__version__})"]
    return {
        "created": image.built,
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": f"{LAB_ID}:{LAB_ID}",
            "Env": [f"{name}={value}" for name, value in kind.environment.items()],
            "Entrypoint": _INIT,
            "Cmd": kind.command,
            "WorkingDir": str(kind.home),
            "Labels": {
                "org.opencontainers.image.title": f"elabs {image.name}",
                "org.opencontainers.image.description": wanted.summary,
                "org.opencontainers.image.version": elabs.__version__,
                "org.opencontainers.image.revision": image.key,
                "org.opencontainers.image.created": image.built,
                "org.opencontainers.image.licenses": "BSD-3-Clause",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in found]},
        "history": [{"created": image.built, "created_by": line} for line in history],
    }
