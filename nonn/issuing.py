"""Keys and certificates: what a small authority signs.

P-256 throughout: gRPC's TLS takes no Ed25519 certificates.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nonn.errors import CertificateError, UsageError
from protos.certificate import Role

AUTHORITY_DAYS: Final = 3650
# Boards without a battery start with the time at which they went off.
BACKDATED: Final = timedelta(days=7)
_LABEL: Final = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_HOST: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, in PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Issued:
    """serial: hexadecimal. fingerprint: sha256 of the certificate in DER. valid_until: in UTC."""

    pair: KeyPair
    serial: str
    fingerprint: str
    valid_until: datetime


def new_authority(now: datetime) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # A name of its own: two authorities of one name make errors that nobody understands.
    subject = _subject(f"NoNN authority {serial:040x}"[:27], "authority")
    builder = _builder(subject, subject, key, serial, now, now + timedelta(days=AUTHORITY_DAYS))
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return _pair(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)


def issue(
    authority: KeyPair, name: str, role: Role, now: datetime, days: int, hosts: Sequence[str] = ()
) -> Issued:
    """hosts: names and addresses that an aggregator is dialled by. Never valid for longer than the authority.

    Raises CertificateError when the authority is over.
    """
    signer = x509.load_pem_x509_certificate(authority.certificate)
    if now >= signer.not_valid_after_utc:
        raise CertificateError(
            f"the authority itself expired on {signer.not_valid_after_utc:%Y-%m-%d}: `nonn certs init` makes "
            "another in a new folder, for which every certificate has to be issued again"
        )
    key, signing_key = ec.generate_private_key(ec.SECP256R1()), _load_key(authority.key)
    until = min(now + timedelta(days=days), signer.not_valid_after_utc)
    builder = _builder(_subject(name, role), signer.subject, key, x509.random_serial_number(), now, until)
    # An aggregator's certificate is a client's too, so that its health check may ask it. No other one is good
    # for being dialled: nobody but the aggregator can pass for the aggregator.
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if role is Role.AGGREGATOR:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    certificate = builder.sign(signing_key, hashes.SHA256())
    return Issued(
        pair=_pair(certificate, key),
        serial=f"{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        valid_until=certificate.not_valid_after_utc,
    )


def check_days(days: int) -> None:
    """Raises UsageError for a time beyond any authority's."""
    if days > AUTHORITY_DAYS:
        raise UsageError(f"--days {days} is more than the authority's own {AUTHORITY_DAYS}")


def check_host(host: str) -> str:
    """As it will be in the certificate. Raises UsageError for what is neither a name nor an address."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST.fullmatch(host):
            raise UsageError(f"--host {host!r} is neither a host's name nor an IP address") from None
        return host.lower()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _subject(name: str, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "NoNN"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(**granted: bool) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: granted.get(name, False) for name in every})


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("the authority's key is not the one that `nonn certs init` made")
    return key


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate=certificate.public_bytes(Encoding.PEM),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
