"""Our own code in images, as lists of (file here, path below /opt/elabs there).

For labs that is what runs inside them, and nothing more: on one machine it is bound over the image, in a cluster it is the image's last layer. For the hub it
is the project as far as hub and proxy read it.
"""

from pathlib import Path

import elabs

PLACE = Path("/opt/elabs")
_PACKAGE = Path(elabs.__file__).parent
_PROJECT = _PACKAGE.parents[1]
_HUB_PARTS = ("src/elabs", "images", "requirements")


def lab_files(examples: Path | None) -> list[tuple[Path, Path]]:
    """Package `elabs.lab`, and what is in the folder of examples, if there is one."""
    files = [(_PACKAGE / "__init__.py", Path("elabs/__init__.py"))]
    files += [(path, Path("elabs/lab") / path.relative_to(_PACKAGE / "lab")) for path in _below(_PACKAGE / "lab")]
    if examples and examples.is_dir():
        files += [(path, Path("examples") / path.relative_to(examples)) for path in _below(examples)]
    return files


def hub_files() -> list[tuple[Path, Path]]:
    """The whole package, and the data beside it, in the project's own folders."""
    found = [(path, path.relative_to(_PROJECT)) for part in _HUB_PARTS for path in _below(_PROJECT / part)]
    return [(path, inner) for path, inner in found if not any(name.startswith(".") for name in inner.parts)]


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
