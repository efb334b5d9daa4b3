"""Who calls: the holder of a certificate that is on the list, or, in plain text, an address."""

import functools
import ipaddress
import logging
import math
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import grpc

from aggregator import allowed
from aggregator.allowed import Holder
from aggregator.errors import CertificateError
from aggregator.refusal import CallRefused
from aggregator.watched import Watched
from aggregator.wire import one_line
from protos import certificate, credentials
from protos.certificate import Role
from protos.credentials import Credentials

log = logging.getLogger("aggregator")

_WHOSE = {role: f"{'an' if role[0] in 'ao' else 'a'} {role}'s" for role in Role}
LOOK_AGAIN_SECONDS = 0.1  # between looks at the list for those who are not on it
WARN_DAYS = 30  # before the aggregator's own certificate is over


@dataclass(frozen=True, slots=True)
class Peer:
    """key: what it is counted by. holder: None in plain text. fingerprint: of its certificate."""

    key: str
    holder: Holder | None = None
    fingerprint: str = ""


class Peers(Protocol):
    def check(self, context: Any, roles: frozenset[Role]) -> Peer:
        """Raises CallRefused unless the caller has one of the roles."""

    def listed(self, peer: Peer) -> bool:
        """Whether one that was let in still would be."""

    def refresh(self) -> None:
        """Look at the files again; meant for once a second. Never raises."""


class PlainPeers:
    """Anyone may call, except that only this machine operates. On loopback each connection is a peer."""

    def check(self, context: Any, roles: frozenset[Role]) -> Peer:
        peer, is_local = identify(context.peer())
        if roles == {Role.OPERATOR} and not is_local:
            raise CallRefused(
                grpc.StatusCode.PERMISSION_DENIED,
                "without TLS the cluster is operated from the aggregator's own machine only: call 127.0.0.1 "
                "there, or start the aggregator with --tls",
            )
        return peer

    def listed(self, peer: Peer) -> bool:
        return True

    def refresh(self) -> None:
        pass


class CertifiedPeers:
    """Reads ca.pem, cert.pem, key.pem and allowed.json of one folder, and again when they change.

    A list that cannot be read leaves the last good one in force.
    """

    def __init__(self, folder: Path) -> None:
        """Raises CertificateError."""
        try:
            self._own = Credentials.load(folder, Role.AGGREGATOR)
            self._own.check_dates(credentials.now())
        except ValueError as error:
            raise CertificateError(str(error)) from None
        self._list = Watched(folder / allowed.FILE)
        self._pair = Watched(folder / credentials.CERTIFICATE)
        self._list.changed()
        self._pair.changed()
        try:
            self._allowed = self._list.read(allowed.parse, allowed.LARGEST)
        except ValueError as error:
            raise CertificateError(
                f"{error}: without a list of certificates nobody may connect; `nonn certs` writes it"
            ) from None
        self._fresh: Any = None
        self._complaint = ""
        self._looked = -math.inf
        self._warned: date | None = None
        self._fingerprints: dict[bytes, str] = {}
        self._warn()

    def for_server(self) -> grpc.ServerCredentials:
        """Mutual TLS; takes up a renewed certificate at the next handshake."""
        return grpc.dynamic_ssl_server_credentials(
            self._own.for_server(), self._next, require_client_authentication=True
        )

    def check(self, context: Any, roles: frozenset[Role]) -> Peer:
        found = context.auth_context()
        fingerprint = self._fingerprint(found["x509_pem_cert"][0])
        holder = self._allowed.get(fingerprint) or self._look_again(fingerprint)
        if holder is None:
            raise CallRefused(
                grpc.StatusCode.UNAUTHENTICATED,
                f"the certificate of {_name(found)} has been revoked, or is not yet on the "
                f"aggregator's list: bring the {allowed.FILE} beside the aggregator's certificate up to "
                "date, or issue another",
            )
        if holder.expires <= time.time():
            raise CallRefused(
                grpc.StatusCode.UNAUTHENTICATED,
                f"the certificate of {holder.name} has expired: "
                f"`nonn certs {holder.role} {holder.name} --renew` issues another",
            )
        if holder.role not in roles:
            wanted = " or ".join(_WHOSE[role] for role in sorted(roles - {Role.AGGREGATOR}))
            raise CallRefused(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{holder.name} has {_WHOSE[holder.role]} certificate, and this takes {wanted}: `nonn certs` "
                "issues one",
            )
        return Peer(f"{holder.role} {holder.name}", holder, fingerprint)

    def _look_again(self, fingerprint: str) -> Holder | None:
        """A certificate that has just been issued gets in at once; many unknown ones cost little."""
        now = time.monotonic()
        if now - self._looked >= LOOK_AGAIN_SECONDS:
            self._looked = now
            self.refresh()
        return self._allowed.get(fingerprint)

    def listed(self, peer: Peer) -> bool:
        holder = self._allowed.get(peer.fingerprint)
        return holder is not None and holder.expires > time.time()

    def refresh(self) -> None:
        self._warn()
        if self._list.changed():
            try:
                self._allowed = self._list.read(allowed.parse, allowed.LARGEST)
                log.info("%d certificates may connect", len(self._allowed))
            except ValueError as error:
                log.warning("%s; the list of before stays in force", error)
        if self._pair.changed():
            try:
                self._own = Credentials.load(self._own.folder, Role.AGGREGATOR)
                self._fresh = self._own.for_server()
                log.info(
                    "the aggregator's certificate is valid until %s", f"{self._own.own.not_after:%Y-%m-%d}"
                )
            except ValueError as error:
                self._pair.again()
                if str(error) != self._complaint:
                    log.warning("%s; the certificate of before stays in use", error)
                self._complaint = str(error)

    def _next(self) -> Any:
        """At each handshake, in gRPC's threads: the new configuration once; None: the one of before."""
        fresh, self._fresh = self._fresh, None
        return fresh

    def _fingerprint(self, pem: bytes) -> str:
        found = self._fingerprints.get(pem)
        if found is None:
            if len(self._fingerprints) > 4096:  # only an authority that issues as many gets there
                self._fingerprints.clear()
            found = self._fingerprints[pem] = certificate.fingerprint(pem.decode())
        return found

    def _warn(self) -> None:
        """Once a day."""
        today = credentials.now().date()
        left = (self._own.own.not_after.date() - today).days
        if left < WARN_DAYS and today != self._warned:
            log.warning("the aggregator's certificate expires in %d days: `nonn certs aggregator`", left)
            self._warned = today


def _name(found: Mapping[str, Sequence[bytes]]) -> str:
    """The common name in gRPC's words on a peer. It is of our authority, but not therefore fit for a log."""
    return one_line(found.get("x509_common_name", (b"?",))[0].decode(errors="replace"))


@functools.lru_cache(256)
def identify(peer: str) -> tuple[Peer, bool]:
    """gRPC's `ipv4:127.0.0.1:5000` or `ipv6:[::1]:5000` -> the peer, and whether it is on this machine."""
    host = urllib.parse.unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return Peer(peer), False
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return Peer(peer), True
    if address.version == 6:  # a machine has as many addresses as it likes within its /64
        return Peer(str(ipaddress.ip_network((address, 64), strict=False))), False
    return Peer(str(address)), False
