"""What every part of the model is made of: the kinds of values that a person writes, the section, and how a mistake between settings is told."""

import ipaddress
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from elabs.config.units import shown

HUB_IMAGE = "hub"
"""The image of hub and proxy in a cluster, and so the one that no lab can have."""
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"


def _name(value: str) -> str:
    if not re.fullmatch(NAME_PATTERN, value):
        raise ValueError(f"{shown(value)} is not a name; use a-z, 0-9 and - inside, 32 characters at most")
    return value


def _lab_image(value: str) -> str:
    if value == HUB_IMAGE:
        raise ValueError(f"{shown(value)} is the image of hub and proxy, which labs cannot start from; write full, small or one of your own")
    return value


def _network(value: Any) -> str:
    try:
        whole = ipaddress.IPv4Network(value if isinstance(value, str) else "", strict=False)
        if value in (str(whole), str(whole.network_address)):
            return str(whole)
    except ValueError:
        raise ValueError(f"{shown(value)} is not a network; write an IPv4 address range like 10.1.2.0/24") from None
    raise ValueError(f"{shown(value)} is an address inside a network; the network is {whole}")


def _listen(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    host, port = listen_address(text)
    try:
        address = ipaddress.ip_address(host)
        if not 1 <= port <= 65535 or (address.version == 6) != text.startswith("["):
            raise ValueError
    except ValueError:
        raise ValueError(f"{shown(value)} is not an address to listen on; write ADDRESS:PORT, like 127.0.0.1:8000, 0.0.0.0:443 or [::]:443") from None
    return text


def _url(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/") and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[\s?#@]", text):
        raise ValueError(f"{shown(value)} is not the address of a site; write https://NAME, without a path")
    return text.rstrip("/")


def _host(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?", value) or re.search(r"^[^:]+:\d+$", value):
        raise ValueError(f"{shown(value)} is not a host; write its name or address alone, like ldap.example.org: port and security are settings of their own")
    return value.strip("[]")


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "title": "name"})]
LabImage = Annotated[
    Name,
    AfterValidator(_lab_image),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "not": {"const": HUB_IMAGE}, "title": "name"}),
]
Network = Annotated[str, BeforeValidator(_network), WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}(\.\d{1,3}){3}(/\d{1,2})?$", "title": "network"})]
Listen = Annotated[
    str,
    BeforeValidator(_listen),
    WithJsonSchema({"type": "string", "pattern": r"^(\d{1,3}(\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\]):\d{1,5}$", "title": "address:port"}),
]
Url = Annotated[str, BeforeValidator(_url), WithJsonSchema({"type": "string", "pattern": r"^https?://[^/\s?#@]+/?$", "title": "address of a site"})]
Host = Annotated[str, BeforeValidator(_host), WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9._:\[\]-]+$", "title": "host"})]
Text = Annotated[str, Field(min_length=1)]


def refuse(*problems: tuple[str, str]) -> None:
    """Raise what is wrong between several settings of a section: pairs of the setting that is to be changed, below the section, and one line."""
    if problems:
        raise PydanticCustomError("between", "{text}", {"text": "; ".join(text for _, text in problems), "problems": list(problems)})


class Section(BaseModel):
    """A part of the file: unknown keys are errors, a number is no text, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


def listen_address(listen: str) -> tuple[str, int]:
    """`127.0.0.1:8000` -> (`127.0.0.1`, 8000); brackets of an IPv6 address are dropped. Where there is no port, 0."""
    host, _, port = listen.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port) if port.isascii() and port.isdigit() else 0
