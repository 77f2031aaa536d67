"""Values as people write them: durations `1h`, `90 s`; byte sizes `4G`, `512MiB`; and how a wrong value is quoted back to them.

`G` means 2**30 everywhere in elabs, on one machine and on Kubernetes, whatever the tools below say. Everything behind the model is plain: whole bytes,
whole seconds. In JSON they are written as people write them again, so that what the model writes it also reads.
"""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTE_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_NUMBER = r"[0-9]{1,16}(\.[0-9]{1,6})?"
_DURATION = re.compile(r"([0-9.]+)\s*(s|min|m|h|d|w)", re.ASCII)
_BYTES = re.compile(rf"({_NUMBER})\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
DURATION_PATTERN = rf"^\s*({_NUMBER}\s*(s|min|m|h|d|w)\s*)+$"
"""What a duration looks like, for the JSON schema too."""
BYTES_PATTERN = rf"^\s*{_NUMBER}\s*[kKmMgGtT]?([iI]?[bB])?\s*$"
"""What a size looks like, for the JSON schema too."""
_LONGEST = 10 * 365 * 86400
_LARGEST = 2**50


def shown(value: Any) -> str:
    """A wrong value as a message quotes it: short, on one line, and lists and mappings by their kind alone."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return "a list"
    text = repr(value) if isinstance(value, str) else "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:50]}…{text[-6:]}"


def parse_duration(value: Any) -> int:
    """Seconds of `1h`, `1h 30m`, `90s`; a bare whole number is refused, since its unit would be a guess (0 is allowed). ValueError in one line."""
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    if isinstance(value, str) and re.fullmatch(DURATION_PATTERN, value, re.ASCII):
        seconds = sum(Decimal(number) * _DURATION_UNITS[unit] for number, unit in _DURATION.findall(value))
        if seconds != int(seconds):
            raise ValueError(f"{shown(value)} is not a whole number of seconds")
        if seconds > _LONGEST:
            raise ValueError(f"{shown(value)} is more than ten years")
        return int(seconds)
    raise ValueError(f"{shown(value)} is not a duration; write a number and a unit: 90s, 10m, 1h, 7d")


def parse_bytes(value: Any) -> int:
    """Bytes of `4G`, `512M`, `1.5 TiB` or a whole number of bytes; G is 2**30. ValueError in one line."""
    count: int | None = None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        count = value
    elif isinstance(value, str) and (found := _BYTES.fullmatch(value.strip())):
        count = int(Decimal(found[1]) * _BYTE_UNITS[found[3].lower()])
    if count is None:
        raise ValueError(f"{shown(value)} is not a size; write bytes or a number and a unit: 512M, 4G, 1T")
    if count > _LARGEST:
        raise ValueError(f"{shown(value)} is more than 1024T")
    return count


def format_bytes(count: int) -> str:
    """`4294967296` -> `4G`; exact where it can be, one decimal where not."""
    for unit in ("T", "G", "M", "K"):
        size = _BYTE_UNITS[unit.lower()]
        if count >= size:
            return f"{count // size}{unit}" if count % size == 0 else f"{count / size:.1f}{unit}"
    return str(count)


def write_bytes(count: int) -> str:
    """`4294967296` -> `4G`, and `1500000000` as it is: always exactly what was meant."""
    text = format_bytes(count)
    return text if parse_bytes(text) == count else str(count)


def format_duration(seconds: float) -> str:
    """`5400` -> `1h 30m`; whole seconds."""
    rest, parts = int(seconds), []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _DURATION_UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"const": 0, "type": "integer"}], "title": "duration"}),
]
ByteSize = Annotated[
    int,
    BeforeValidator(parse_bytes),
    PlainSerializer(write_bytes, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": BYTES_PATTERN}, {"type": "integer", "minimum": 0}], "title": "size in bytes"}),
]
