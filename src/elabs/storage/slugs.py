"""Names for the machine, made of people's names. Two laws, and nothing else here:

1. A slug is always valid: as a folder, a container, a cgroup, a login name and a DNS label, whatever the directory holds.
2. Two different names never share a slug.

A name that is valid already is its own slug, unless it could be mistaken for one that was made (`---` inside) or for an account that every Debian has.
The laws are those of KubeSpawner's `slugs`; here a hash of 12 hexadecimal digits keeps the second.
"""

import hashlib
import re

MAX_LENGTH = 40
_VALID = re.compile(rf"[a-z]([a-z0-9-]{{0,{MAX_LENGTH - 2}}}[a-z0-9])?")
_MADE = "---"
_KEEP = MAX_LENGTH - len(_MADE) - 12

SYSTEM_ACCOUNTS = frozenset(
    "root daemon bin sys sync games man lp mail news uucp proxy backup list irc nobody www-data systemd-network systemd-resolve messagebus sshd "
    "adm tty disk dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl plugdev staff users nogroup lab".split()
)
"""Accounts and groups of the image; a person of the same name gets a made slug."""


def slug(name: str) -> str:
    """The slug of `name`, at most 40 characters. Any text is a name, the empty one too."""
    if _VALID.fullmatch(name) and _MADE not in name and name not in SYSTEM_ACCOUNTS:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    stem = re.sub(r"-+", "-", re.sub(r"[^a-z0-9]", "-", name.lower())).strip("-")[:_KEEP].strip("-")
    if not stem or not stem[0].isalpha():
        stem = f"x-{stem}"[:_KEEP].strip("-")
    return f"{stem}{_MADE}{digest}"


def is_slug(text: str) -> bool:
    """Whether `text` has the form of a slug, which is all that a path may be made of."""
    return _VALID.fullmatch(text) is not None
