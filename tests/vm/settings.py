"""What the guest takes over from this machine: how to reach the world, and nothing else.

A guest that could not install packages would prove nothing, and a machine behind a mirror or an inspecting proxy reaches the world only in its own way. So the
guest gets this machine's apt mirrors (not their packages), the certificate authorities that this machine trusts beyond Debian's, and the variables that tell
programs about them. All of it is read when the tests run; nothing of it is written in the project.
"""

import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

GUEST_NAME = "elabs-test-guest"
"""The product name in the guest's firmware, so that the tests, run in the guest, start no guest of their own."""
_PRODUCT = Path("/sys/class/dmi/id/product_name")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs", "ssh": "openssh-client"}
# Programs that do not read Debian's bundle by themselves are told of it by the first; the second are ways out of a closed network.
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")
_NETWORK_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "npm_config_registry")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?")
_KVM_CREATE_VM = 0xAE01


@dataclass(frozen=True)
class Archive:
    """The addresses of Debian's main and security archives, and apt's settings for reaching them."""

    main: str
    security: str | None
    settings: str

    def sources(self, release: str) -> str:
        """The guest's sources.list for a release, given by its code name."""
        lines = [f"deb {self.main} {release} main", f"deb {self.main} {release}-updates main"]
        if self.security:
            lines.append(f"deb {self.security} {release}-security main")
        return "".join(f"{line}\n" for line in lines)


def why_not() -> str | None:
    """Why a guest cannot run here, in one line for the skipped tests; None where it can, at least emulated."""
    if os.uname().machine != "x86_64":
        return f"the guest is an x86-64 Debian, and this machine is {os.uname().machine}"
    if _PRODUCT.exists() and _PRODUCT.read_text().strip() == GUEST_NAME:
        return "this is the guest already"
    if os.geteuid() != 0:
        return "making the guest's file system needs root"
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if missing:
        return f"QEMU cannot run: install {' '.join(missing)}"
    return None


def emulate() -> bool:
    """Whether a guest may be emulated where KVM does not run it: ten to thirty times slower, an hour for the story."""
    return os.environ.get("ELABS_TEST_VM_TCG") == "1"


def kvm_refused() -> str | None:
    """Why KVM does not open here, or None. That it opens does not yet mean that it runs Debian's kernel: see `qemu.Unfit`."""
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    try:
        os.close(fcntl.ioctl(device, _KVM_CREATE_VM, 0))
    except OSError as error:
        return f"/dev/kvm makes no virtual machine: {error.strerror}"
    finally:
        os.close(device)
    return None


def archive() -> Archive:
    """This machine's Debian archives, as apt itself understands its sources. Raises LookupError where apt knows none."""
    fields = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
    targets = _output("apt-get", "indextargets", "--format", fields, "Created-By: Packages")
    settings = [line for line in _output("apt-config", "dump").splitlines() if re.match(r"Acquire::(https?::Proxy|Check-[A-Za-z-]+) ", line)]
    found: dict[str, str] = {}
    for line in targets.splitlines():
        origin, label, component, address = line.split("|")
        if origin == "Debian" and component == "main":
            found.setdefault(label, address)
    if "Debian" not in found:
        raise LookupError("apt knows no Debian archive on this machine; run apt-get update")
    return Archive(found["Debian"], found.get("Debian-Security"), "".join(f"{line}\n" for line in settings))


def variables() -> dict[str, str]:
    """Environment that every program in the guest gets. A variable that names this machine's bundle names the guest's, which is the same path."""
    certificates = {name: str(BUNDLE) for name in _CERTIFICATE_VARIABLES if os.environ.get(name) == str(BUNDLE)}
    return certificates | {name: os.environ[name] for name in _NETWORK_VARIABLES if name in os.environ}


def authorities() -> list[str]:
    """Certificates, as PEM, of the authorities that this machine trusts."""
    return _CERTIFICATE.findall(BUNDLE.read_text()) if BUNDLE.exists() else []


def unknown_authorities(bundle: str) -> list[str]:
    """Those of `authorities` that a bundle does not hold."""
    known = {"".join(certificate.split()) for certificate in _CERTIFICATE.findall(bundle)}
    return [certificate for certificate in authorities() if "".join(certificate.split()) not in known]


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
