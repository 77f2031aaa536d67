"""A finished image as an OCI archive, a file that registries and container runtimes take; written without any container tool.

The root file system's layer is packed once and kept beside the image; our own code is the other layer, so that an upgrade of elabs moves a few hundred
kilobytes. The archive appears under its name whole or not at all. One archive or build at a time on a state folder.
"""

import errno
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from elabs.config.state import State
from elabs.runtime.images import contents, definition, layers, store
from elabs.runtime.images.building import alone
from elabs.runtime.images.errors import ImageError
from elabs.runtime.images.layers import Layer
from elabs.runtime.images.progress import Report, rising, within
from elabs.runtime.images.store import Image

_REFERENCE = re.compile(r"[a-z0-9][A-Za-z0-9._:/-]*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_PACKING = 0.8
"""Share of the time that packing the root file system takes, where that is not done yet."""


def archive(state: State, name: str, output: Path, reference: str, report: Report, *, compressed: bool = True) -> Path:
    """Write the finished image NAME to `output`, to be called `reference` (with a tag) where it is loaded. ImageError, one line, where that cannot be."""
    check(output, reference)
    image, wanted = store.find(state, name), definition.load(name)
    if image is None:
        raise ImageError(f"image {name} has not been built in {state.images}: ./elabs image build {name}")
    report = rising(report)
    with alone(state, report), _in_one_line(name, output, state), _whole(output) as partial:
        kept = _root_layer(image, compressed, within(report, 0.0, _PACKING))
        kind = contents.kind(wanted)
        packed = io.BytesIO()
        code = layers.write(contents.last_layer(image, kind), packed, compressed, lambda fraction, text: None)
        config = _json(contents.config(image, wanted, kind, [kept, code]))
        manifest = _json(_manifest(config, [kept, code]))
        blobs: dict[str, bytes | Path] = {_digest(config): config, _digest(manifest): manifest, code.digest: packed.getvalue(), kept.digest: _kept(image, kept)}
        _write(partial, _json(_index(manifest, reference)), blobs, within(report, _PACKING, 1.0))
    report(1.0, "done")
    return output


def check(output: Path, reference: str) -> None:
    """ImageError where an archive of that name cannot be written or loaded: worth knowing before minutes of work."""
    if not _REFERENCE.fullmatch(reference):
        raise ImageError(f"{reference} is no name with a tag; write it like registry.example.org/elabs/hub:1.0")
    if output.is_dir():
        raise ImageError(f"{output} is a folder; name a file in it")
    if not output.parent.is_dir():
        raise ImageError(f"{output} cannot be written: there is no folder {output.parent}")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise ImageError(f"{output} cannot be written: {output.parent} takes no files")


def _root_layer(image: Image, compressed: bool, report: Report) -> Layer:
    """The layer of the whole root file system, packed unless an earlier run has."""
    folder = image.rootfs.parent / "oci"
    note = folder / ("gzip.json" if compressed else "plain.json")
    if note.exists():
        layer = Layer(**json.loads(note.read_text()))
        if _kept(image, layer).is_file():
            return layer
    folder.mkdir(mode=0o700, exist_ok=True)
    partial = folder / ".partial"
    try:
        with partial.open("wb") as file:
            layer = layers.write(layers.tree(image.rootfs), file, compressed, report)
            _settle(file)
        partial.rename(_kept(image, layer))
        with partial.open("wb") as file:
            file.write(_json(asdict(layer)))
            _settle(file)
        partial.rename(note)
    finally:
        partial.unlink(missing_ok=True)
    return layer


def _kept(image: Image, layer: Layer) -> Path:
    return image.rootfs.parent / "oci" / layer.digest.replace(":", "-")


def _manifest(config: bytes, found: list[Layer]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": _digest(config), "size": len(config)},
        "layers": [{"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size} for layer in found],
    }


def _index(manifest: bytes, reference: str) -> dict[str, Any]:
    entry = {
        "mediaType": _MANIFEST,
        "digest": _digest(manifest),
        "size": len(manifest),
        "platform": {"architecture": contents.architecture(), "os": "linux"},
        "annotations": {"org.opencontainers.image.ref.name": reference, "io.containerd.image.name": _full(reference)},
    }
    return {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}


def _full(reference: str) -> str:
    """As containerd and the kubelet look it up: `elabs/hub:1.0` is `docker.io/elabs/hub:1.0` to them."""
    first, slash, _ = reference.partition("/")
    if not slash:
        return f"docker.io/library/{reference}"
    return reference if "." in first or ":" in first or first == "localhost" else f"docker.io/{reference}"


def _write(partial: Path, index: bytes, blobs: dict[str, bytes | Path], report: Report) -> None:
    with partial.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
            _add(tar, "index.json", index)
            for number, (digest, blob) in enumerate(blobs.items()):
                report(number / len(blobs), "writing the archive")
                _add(tar, f"blobs/{digest.replace(':', '/')}", blob)
        _settle(file)


def _settle(file: BinaryIO) -> None:
    """What was written is on the disk, so that the rename that follows cannot be there before it."""
    file.flush()
    os.fsync(file.fileno())


def _add(tar: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = 0o644, layers.OWN_TIME
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        info.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        tar.addfile(info, file)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """Where to write what gets its name once all of it is there; gone where that fails."""
    partial = output.with_name(f".{output.name}.partial")
    try:
        partial.touch()
        yield partial
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _in_one_line(name: str, output: Path, state: State) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ImageError(f"image {name}: the disk of {output.absolute().parent} or of {state.images} is full; free some space and try again") from error
        raise ImageError(f"image {name}: {error}") from error
