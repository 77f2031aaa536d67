"""A certificate authority of a test's own, and a certificate for an address that it signed."""

import subprocess
from pathlib import Path


def make(folder: Path) -> Path:
    """The authority's certificate, `ca.pem`; its key is beside it."""
    _openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7", "-keyout", "ca.key", "-out", "ca.pem",
        "-subj", "/CN=elabs test authority", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    return folder / "ca.pem"


def sign(folder: Path, name: str, subject: str) -> tuple[Path, Path]:
    """Certificate and key, `NAME.pem` and `NAME.key`, for a subject alternative name such as `IP:203.0.113.1`."""
    (folder / f"{name}.ext").write_text(f"subjectAltName={subject}\nextendedKeyUsage=serverAuth\n")
    _openssl(
        folder, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
        "-subj", f"/CN={name}",
    )  # fmt: skip
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "7", "-out", f"{name}.pem",
        "-extfile", f"{name}.ext",
    )  # fmt: skip
    return folder / f"{name}.pem", folder / f"{name}.key"


def _openssl(folder: Path, *args: str) -> None:
    done = subprocess.run(["openssl", *args], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
