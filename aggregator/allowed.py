"""The list of certificates that may connect: `allowed.json`, which `nonn certs` writes for the aggregator."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from protos.certificate import Role

FILE: Final = "allowed.json"
FORMAT: Final = "nonn-allowed-1"
LARGEST: Final = 16 * 2**20  # bytes
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose certificate it is. name: a device's id. expires: Unix time."""

    name: str
    role: Role
    expires: float


Allowed = Mapping[str, Holder]  # by fingerprint


def parse(text: bytes) -> dict[str, Holder]:
    """ValueError, in one line, unless every word of it is as it should be."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON, or truncated") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    entries = document.get("certificates")
    if not isinstance(entries, list):
        raise ValueError("it has no list of certificates")
    return dict(_holder(number, entry) for number, entry in enumerate(entries))


def render(allowed: Iterable[tuple[str, Holder]]) -> bytes:
    entries = [
        {
            "name": holder.name,
            "role": str(holder.role),
            "fingerprint": fingerprint,
            "expires": datetime.fromtimestamp(holder.expires, UTC).isoformat(),
        }
        for fingerprint, holder in allowed
    ]
    return (json.dumps({"format": FORMAT, "certificates": entries}, indent=1) + "\n").encode()


def _holder(number: int, entry: Any) -> tuple[str, Holder]:
    try:
        name, role, fingerprint, expires = (entry[key] for key in ("name", "role", "fingerprint", "expires"))
        if not (isinstance(name, str) and name and _FINGERPRINT.fullmatch(fingerprint)):
            raise ValueError
        return fingerprint, Holder(name, Role(role), datetime.fromisoformat(expires).timestamp())
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise ValueError(f"its certificate {number} is not as it should be") from None
