"""What a certificate says of its holder, read with the standard library alone."""

import contextlib
import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name.
_ANY_TIME: Final = ssl.VerifyFlags(0x200000)


class Role(StrEnum):
    """What a holder may do; the organizational unit of its certificate."""

    AGGREGATOR = "aggregator"
    DEVICE = "device"
    CLIENT = "client"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Certificate:
    """name: the common name, which is the holder's identity. role: None when it names none of ours.

    not_before, not_after: in UTC.
    """

    name: str
    role: Role | None
    not_before: datetime
    not_after: datetime


def read_own(authority: Path, certificate: Path, key: Path) -> Certificate:
    """Of files in PEM form that belong together. ValueError says in one line which do not.

    The ssl module decodes none but a peer's certificate: so we are our own peer for a moment, which also
    proves that the key fits and the authority is the right one. Dates are not judged.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= _ANY_TIME
    try:
        server.load_verify_locations(authority)
    except ssl.SSLError:
        raise ValueError(f"{authority} is no certificate in PEM form") from None
    for side in (server, client):
        try:
            side.load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, ValueError):
            raise ValueError(f"{certificate} is damaged, or {key.name} is not its key") from None
    try:
        return _decode(_shake_hands(server, client))
    except ssl.SSLCertVerificationError as error:
        problem = error.verify_message
        raise ValueError(f"{certificate} is not of the authority of {authority.name} ({problem})") from None
    except (ssl.SSLError, KeyError, ValueError):
        raise ValueError(f"{certificate} is no certificate that TLS takes") from None


def fingerprint(pem: str) -> str:
    """sha256 of the certificate in DER, hexadecimal. Raises ValueError."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = server.wrap_bio(to_server, to_client, server_side=True)
    there = client.wrap_bio(to_client, to_server)
    for end in (there, here, there, here):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return here.getpeercert() or {}


def _decode(found: dict[str, Any]) -> Certificate:
    subject = dict(pair for part in found["subject"] for pair in part)
    unit = subject.get("organizationalUnitName", "")
    return Certificate(
        name=subject.get("commonName", ""),
        role=Role(unit) if unit in set(Role) else None,
        not_before=datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notBefore"]), UTC),
        not_after=datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC),
    )
