"""Hashes of passwords: scrypt with a salt of each one's own, about 50 ms and 16 MiB a check, so that a stolen file is no list of passwords."""

import base64
import hashlib
import hmac
import secrets

_N, _R, _P = 2**14, 8, 1


def hash_password(password: str) -> str:
    """`scrypt$N$r$p$salt$hash` of a password, with a new salt."""
    salt = secrets.token_bytes(16)
    return "$".join(["scrypt", str(_N), str(_R), str(_P), _text(salt), _text(_derive(password, salt, _N, _R, _P))])


def verify_password(password: str, hashed: str) -> bool:
    """Whether it is the password of that hash. ValueError where `hashed` is not one of ours."""
    kind, n, r, p, salt, wanted = hashed.split("$")
    if kind != "scrypt":
        raise ValueError("not a scrypt hash")
    return hmac.compare_digest(_derive(password, base64.b64decode(salt), int(n), int(r), int(p)), base64.b64decode(wanted))


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
