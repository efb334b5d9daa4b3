"""Every certificate that an authority has issued, and which of them count: values, and their JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from aggregator.allowed import Holder
from protos.certificate import Role

_FORMAT: Final = "nonn-register-1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate. Times in UTC; revoked: when. hosts: an aggregator's, as they were asked for."""

    name: str
    role: Role
    serial: str
    fingerprint: str
    issued: datetime
    valid_until: datetime
    revoked: datetime | None = None
    hosts: tuple[str, ...] = ()

    def good(self, now: datetime) -> bool:
        return self.revoked is None and now < self.valid_until


@dataclass(frozen=True, slots=True)
class Register:
    """In order of issue."""

    entries: tuple[Entry, ...] = ()

    def of(self, name: str) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.name == name)

    def with_entry(self, entry: Entry) -> "Register":
        return Register((*self.entries, entry))

    def revoke(self, name: str, now: datetime) -> "Register":
        """All certificates of this name; those that were revoked before keep their date."""
        return Register(
            tuple(
                replace(entry, revoked=now) if entry.name == name and entry.revoked is None else entry
                for entry in self.entries
            )
        )

    def allowed(self, now: datetime) -> list[tuple[str, Holder]]:
        """What the aggregator's list holds: fingerprints and their holders."""
        return [
            (entry.fingerprint, Holder(entry.name, entry.role, entry.valid_until.timestamp()))
            for entry in self.entries
            if entry.good(now)
        ]


def parse(text: bytes) -> Register:
    """Raises ValueError in one line."""
    try:
        document = json.loads(text)
        if document["format"] != _FORMAT:
            raise ValueError
        return Register(tuple(_entry(**fields) for fields in document["certificates"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("it is damaged, or of another version of nonn") from None


def render(register: Register) -> bytes:
    document = {"format": _FORMAT, "certificates": [_fields(entry) for entry in register.entries]}
    return (json.dumps(document, indent=1) + "\n").encode()


def _entry(
    *,
    role: str,
    issued: str,
    valid_until: str,
    revoked: str | None,
    hosts: Sequence[str],
    **texts: str,
) -> Entry:
    return Entry(
        role=Role(role),
        issued=datetime.fromisoformat(issued),
        valid_until=datetime.fromisoformat(valid_until),
        revoked=None if revoked is None else datetime.fromisoformat(revoked),
        hosts=tuple(hosts),
        **texts,
    )


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(entry).items()
    }
