"""Certificates for tests, from the authority that `nonn certs` is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nonn.authority import AGGREGATOR, Authority
from protos.certificate import Role

NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=5 * 365)  # what was issued then is over by now
SOON = NOW + timedelta(days=30)  # what is issued then is not valid yet


class Certificates:
    """Folders of one authority, issued when they are asked for."""

    def __init__(self, folder: Path, born: datetime = NOW) -> None:
        self.folder = folder
        self.authority = Authority.create(folder, born)

    def aggregator(self, issued: datetime = NOW, hosts: Sequence[str] = ()) -> Path:
        return self._issue(AGGREGATOR, Role.AGGREGATOR, issued, hosts=hosts)

    def device(self, name: str, issued: datetime = NOW) -> Path:
        return self._issue(name, Role.DEVICE, issued)

    def client(self, name: str, issued: datetime = NOW) -> Path:
        return self._issue(name, Role.CLIENT, issued)

    def operator(self, name: str, issued: datetime = NOW) -> Path:
        return self._issue(name, Role.OPERATOR, issued)

    def revoke(self, name: str) -> None:
        with self.authority.held():
            self.authority.revoke(name, NOW)

    def _issue(self, name: str, role: Role, now: datetime, hosts: Sequence[str] = ()) -> Path:
        with self.authority.held():
            return self.authority.issue(name, role, now, hosts=hosts)[0]
