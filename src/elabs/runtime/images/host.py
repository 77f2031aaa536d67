"""What a build takes from the host so that it reaches the same mirrors in the same way: proxies, certificate authorities, apt's, pip's and npm's settings.

All of it is laid into one folder that the build binds into its root while commands run; nothing of it is ever written into the image.
"""

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from elabs.runtime.images import npm
from elabs.runtime.images.rooms import CACHE, INPUT

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_NPM_VARIABLES = ("npm_config_registry", "npm_config_proxy", "npm_config_https_proxy", "npm_config_noproxy")
_PIP_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_PROXY", "PIP_DEFAULT_TIMEOUT")
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")


def prepare(folder: Path, requirements: Iterable[Path]) -> None:
    """Fill `folder` (made anew; apt's own user must read it): ca.crt, apt-host.conf, apt.conf, pip.conf, npmrc, requirements.txt."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    if AUTHORITIES.is_file():
        shutil.copyfile(AUTHORITIES, folder / "ca.crt")
    settings = apt_settings(_apt_dump())
    (folder / "apt-host.conf").write_text("".join(line + "\n" for line in settings))
    trust = [f'Acquire::https::CaInfo "{INPUT}/ca.crt";'] if AUTHORITIES.is_file() else []
    (folder / "apt.conf").write_text("".join(line + "\n" for line in [*settings, *trust]))
    (folder / "pip.conf").write_text(pip_settings(_pip_files()))
    (folder / "npmrc").touch(mode=0o600)
    (folder / "npmrc").write_text(npm.without_files(npm.of_the_host()))
    (folder / "requirements.txt").write_text("".join(path.read_text() for path in requirements))


def environment(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The whole environment of commands inside the root."""
    found = {name: variables[name] for name in (*_PROXIES, *_PIP_VARIABLES, *_NPM_VARIABLES) if name in variables}
    found |= {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": CACHE, "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    found |= {
        "APT_CONFIG": f"{INPUT}/apt.conf",
        "PIP_CONFIG_FILE": f"{INPUT}/pip.conf",
        "PIP_CACHE_DIR": f"{CACHE}/pip",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "npm_config_userconfig": f"{INPUT}/npmrc",
        "npm_config_globalconfig": os.devnull,
        "npm_config_cache": f"{CACHE}/npm",
    }
    if AUTHORITIES.is_file():
        found |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), f"{INPUT}/ca.crt")
    return found


def apt_settings(dump: str) -> list[str]:
    """Of `apt-config dump`: proxies and timeouts, and no more tries than a person would wait for."""
    kept = [line for line in dump.splitlines() if re.match(r'Acquire::(http|https|ftp)::(Proxy|Timeout|Verify-Peer|Verify-Host)(::\S+)? "[^"]+";$', line)]
    return [*kept, 'Acquire::Retries "2";', 'Acquire::Languages "none";']


def pip_settings(files: list[Path]) -> str:
    """One pip.conf out of several, later ones winning: only what says where packages come from, and only where that is a network address."""
    found = configparser.RawConfigParser(strict=False)
    found.read(files)
    lines = ["[global]"]
    for name in _PIP_SETTINGS:
        values = [found[section][name] for section in ("global", "install") if found.has_section(section) and name in found[section]]
        words = [word for word in values[-1].split() if not word.startswith(("file:", "/"))] if values else []
        if words:
            lines.append(f"{name} = {' '.join(words)}")
    return "\n".join(lines) + "\n"


def _apt_dump() -> str:
    return subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout


def _pip_files() -> list[Path]:
    home = Path.home()
    return [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf", Path(os.environ.get("PIP_CONFIG_FILE", os.devnull))]
