"""A real OpenLDAP server on loopback, as an ordinary user, with a small institute in it: people, groups, an account that searches, an authority's certificates.

People's passwords are `<name>-secret`. Nobody reads anonymously. Its certificate is for the name `localhost` alone, so that 127.0.0.1 is a wrong name for it.
"""

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.tools import slapd_root

BASE = "dc=elabs,dc=test"
ODD = ("gato rojo", "búho🦉", "a{b},c=d*", "o(d)d\\")
PEOPLE = {**{name: [name] for name in ("colibri", "admin", "zorro", *ODD)}, "lince": ["lince", "lince.iberico"]}
"""Each person, by the name in their DN, with all values of uid."""
GROUPS = {"elabs-users": ["colibri", "lince", "admin", *ODD], "elabs-admins": ["admin"], "Ecology": ["lince"]}
SEARCHER = f"cn=searcher,{BASE}"
_NOBODY = 65534
_START_SECONDS = 20


class Directory:
    """The server; a context manager. `port` speaks LDAP and StartTLS, `tls_port` LDAPS; `ca` is the authority's PEM file, `other_ca` another one's."""

    def __init__(self) -> None:
        self.root = slapd_root()
        self.folder = Path(tempfile.mkdtemp(prefix="elabs-slapd-", dir="/var/tmp"))
        self.port, self.tls_port = _free_port(), _free_port()
        self.ca, self.other_ca = self.folder / "ca.pem", self.folder / "other.pem"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Directory":
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Run slapd and wait until it answers."""
        urls = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port}"
        log = (self.folder / "slapd.log").open("ab")
        user = _NOBODY if os.getuid() == 0 else None
        self._process = subprocess.Popen(
            [str(self.root / "usr/sbin/slapd"), "-f", str(self.folder / "slapd.conf"), "-h", urls, "-d", "0"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(), user=user, group=user, extra_groups=[] if user else None,
        )  # fmt: skip
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.tls_port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"slapd did not start: {(self.folder / 'slapd.log').read_text()}")

    def stop(self) -> None:
        """End slapd; `start` brings it back with the same data."""
        if self._process:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def password(self, name: str) -> str:
        """The password of a person or of SEARCHER's account, `searcher`."""
        return f"{name}-secret"

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": ":".join(str(path) for path in self.root.glob("usr/lib/*-linux-gnu"))}

    def _openssl(self, line: str) -> None:
        subprocess.run(["openssl", *line.split()], cwd=self.folder, check=True, capture_output=True)

    def _prepare(self) -> None:
        (self.folder / "data").mkdir()
        for name in ("ca", "other"):
            self._openssl(f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=elabs-{name} -keyout {name}.key -out {name}.pem")
        self._openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr")
        (self.folder / "san").write_text("subjectAltName=DNS:localhost\n")
        self._openssl("x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san -out server.pem")
        schema = self.root / "etc/ldap/schema"
        (self.folder / "slapd.conf").write_text(
            "\n".join(
                [
                    *(f"include {schema / name}.schema" for name in ("core", "cosine", "inetorgperson")),
                    f"modulepath {self.root / 'usr/lib/ldap'}",
                    "moduleload back_mdb",
                    f"pidfile {self.folder / 'slapd.pid'}",
                    f"TLSCACertificateFile {self.ca}",
                    f"TLSCertificateFile {self.folder / 'server.pem'}",
                    f"TLSCertificateKeyFile {self.folder / 'server.key'}",
                    "database mdb",
                    "maxsize 16777216",
                    f'suffix "{BASE}"',
                    f"directory {self.folder / 'data'}",
                    "access to attrs=userPassword by anonymous auth by * none",
                    "access to * by users read by * none",
                ]
            )
            + "\n"
        )
        (self.folder / "data.ldif").write_text(_ldif(), encoding="utf-8")
        # slapd's other commands are the same program under another name
        command = [str(self.root / "usr/sbin/slapadd"), "-f", str(self.folder / "slapd.conf"), "-l", str(self.folder / "data.ldif")]
        done = subprocess.run(command, executable=str(self.root / "usr/sbin/slapd"), env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"slapadd: {done.stderr}")
        if os.getuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, _NOBODY, _NOBODY)


def dn(name: str) -> str:
    """A person's DN."""
    escaped = "".join(f"\\{character}" if character in ',+"\\<>;=' else character for character in name)
    return f"uid={escaped},ou=people,{BASE}"


def _ldif() -> str:
    entries = [
        [f"dn: {BASE}", "objectClass: dcObject", "objectClass: organization", "dc: elabs", "o: elabs"],
        [f"dn: ou=people,{BASE}", "objectClass: organizationalUnit", "ou: people"],
        [f"dn: ou=groups,{BASE}", "objectClass: organizationalUnit", "ou: groups"],
        [f"dn: {SEARCHER}", "objectClass: person", "cn: searcher", "sn: searcher", "userPassword: searcher-secret"],
    ]
    for name, uids in PEOPLE.items():
        names = [f"cn: {name}", f"sn: {name}", *(f"uid: {uid}" for uid in uids)]
        entries.append([f"dn: {dn(name)}", "objectClass: inetOrgPerson", *names, f"userPassword: {name}-secret"])
    for group, members in GROUPS.items():
        listed = [f"member: {dn(member)}" for member in members]
        entries.append([f"dn: cn={group},ou=groups,{BASE}", "objectClass: groupOfNames", f"cn: {group}", *listed])
    return "\n\n".join("\n".join(_line(line) for line in entry) for entry in entries) + "\n"


def _line(line: str) -> str:
    """LDIF holds what is not ASCII in base64."""
    key, _, value = line.partition(": ")
    return line if line.isascii() else f"{key}:: {base64.b64encode(value.encode()).decode()}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
