"""A folder that `nonn certs` hands out: ca.pem, cert.pem and key.pem, for any side of a TLS connection."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc

from protos import certificate
from protos.certificate import Certificate, Role

AUTHORITY: Final = "ca.pem"
CERTIFICATE: Final = "cert.pem"
KEY: Final = "key.pem"


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM texts, and what the certificate says of us.

    >>> Credentials.load(Path("certs/devices/kitchen"), Role.DEVICE).own.name  # doctest: +SKIP
    'kitchen'
    """

    folder: Path
    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)
    own: Certificate

    @classmethod
    def load(cls, folder: Path, *roles: Role) -> "Credentials":
        """For one of these roles; none named: for any. ValueError says in one line what is wrong."""
        paths = [folder / name for name in (AUTHORITY, CERTIFICATE, KEY)]
        authority, pem, key = map(_read, paths)
        own = certificate.read_own(*paths)
        if own.role not in (roles or tuple(Role)):
            raise ValueError(
                f"{folder / CERTIFICATE} is of role {own.role or 'none'}, and this takes that of "
                f"{' or '.join(roles or Role)}: `nonn certs` issues one"
            )
        return cls(folder, authority, pem, key, own)

    def check_dates(self, now: datetime) -> None:
        """ValueError when the certificate is not valid at this time, which may be the clock's fault."""
        own, said = self.own, f"(this machine's clock says {now:%Y-%m-%d})"
        again = (
            "`nonn certs aggregator`"
            if own.role is Role.AGGREGATOR
            else f"`nonn certs {own.role} {own.name} --renew`"
        )
        if now > own.not_after:
            raise ValueError(
                f"{self.folder / CERTIFICATE} expired on {own.not_after:%Y-%m-%d} {said}: "
                f"{again} issues another"
            )
        if now < own.not_before:
            raise ValueError(
                f"{self.folder / CERTIFICATE} is valid from {own.not_before:%Y-%m-%d} only {said}: "
                "set the clock"
            )

    def for_channel(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)

    def for_server(self) -> Any:
        """One answer of `grpc.dynamic_ssl_server_credentials`."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authority)


def now() -> datetime:
    return datetime.now(UTC)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f"{path} is missing: --tls takes a folder that `nonn certs` made, with {AUTHORITY}, "
            f"{CERTIFICATE} and {KEY}"
        ) from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
