"""Settings that name a file: relative to the folder of `elabs.yaml`, there, and what they should be. Secrets are files too, and their names are not echoed,
since the commonest mistake is to write the secret itself.

The checks run only where a file of settings is read (the validation context names its folder). Settings in force hold absolute paths and are read as they are.
In a cluster all such files are keys of one Secret, mounted as a folder: of each path only the last part counts there, and a folder is that folder.
"""

import ssl
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from elabs.config.units import shown


def resolve(value: Any, folder: Path | None, what: str, secret: bool = False) -> Path:
    """The path that a setting means, absolute. ValueError in one line where it is no path, or, with `folder` given, where no such file or folder is.

    `what` is "file" or "folder".
    """
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{'this' if secret else shown(value)} is not a path")
    if folder is None:
        return Path(value)
    path = folder / value
    where = "" if Path(value).is_absolute() else f" in {folder}"
    try:
        there = path.is_dir() if what == "folder" else path.is_file()
        exists = there or path.exists()
    except OSError as error:
        raise ValueError(f"the {what} cannot be read: {error.strerror}") from error
    if not there:
        name = "" if secret else f": {value}"
        if exists:
            raise ValueError(f"not a {what}{name}")
        advice = "; write the path of a file that holds the secret, never the secret itself" if secret else ""
        raise ValueError(f"there is no such {what}{where}{name}{advice}")
    return path


def from_context(value: Any, context: Any, what: str, secret: bool = False) -> Path:
    """As `resolve`, in the folder of the settings (`folder` of the validation context) or where a cluster mounts the files (`mounted`)."""
    known = context or {}
    if mounted := known.get("mounted"):
        named = resolve(value, None, what, secret)
        return Path(mounted) if what == "folder" else resolve(named.name, mounted, what, secret)
    return resolve(value, known.get("folder"), what, secret)


def _validator(what: str, secret: bool = False) -> PlainValidator:
    def validate(value: Any, info: ValidationInfo) -> Path:
        return from_context(value, info.context, what, secret)

    return PlainValidator(validate)


_JSON = (PlainSerializer(str, return_type=str, when_used="json"), WithJsonSchema({"type": "string", "minLength": 1, "title": "path"}))
File = Annotated[Path, _validator("file"), *_JSON]
SecretFile = Annotated[Path, _validator("file", secret=True), *_JSON]
Folder = Annotated[Path, _validator("folder"), *_JSON]


def wrong_certificate(certificate: Path, key: Path) -> tuple[str, str] | None:
    """What is wrong with a certificate and its key: the setting's name (`certificate` or `key`) and one line.

    None where they fit, or cannot be read by this user.
    """
    try:
        chain, secret = certificate.read_text(errors="replace"), key.read_text(errors="replace")
    except OSError:
        return None
    if "-----BEGIN CERTIFICATE-----" not in chain:
        return "certificate", f"{certificate} holds no certificate in PEM form"
    if "PRIVATE KEY-----" not in secret:
        return "key", "the file holds no private key in PEM form"
    if "ENCRYPTED" in secret:
        return "key", "the private key is locked with a password, which nobody could type; write it without one (openssl pkey -in … -out …)"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return "key", "the private key does not belong to the certificate"
        return "certificate", f"certificate and key cannot be used: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return None


def wrong_authority(authority: Path) -> str | None:
    """What is wrong with a file of certificate authorities, in one line; None where it can be used, or not be read by this user."""
    try:
        authority.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(authority)
    except ssl.SSLError:
        return f"{authority} holds no certificate in PEM form"
    except OSError:
        return None
    return None
