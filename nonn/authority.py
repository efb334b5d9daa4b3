"""A small certificate authority in a folder.

    DIR/authority/        ca.pem, key.pem, register.json: stays where it is
    DIR/aggregator/       ca.pem, cert.pem, key.pem, allowed.json: for `nonn aggregator --tls`
    DIR/devices/NAME/     ca.pem, cert.pem, key.pem: for `nonn device --tls`
    DIR/clients/NAME/     the same for `nonn predict --tls`, and DIR/operators/NAME/ for `nonn reload --tls`

The register is written before anything is handed out, and the aggregator's list is always made from all of
it: a command that was cut short leaves nothing that the next one does not put right.
"""

import contextlib
import fcntl
import os
import re
import socket
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from aggregator import allowed
from bundle.errors import StorageError
from nonn import issuing, register
from nonn.errors import CertificateError, UsageError
from nonn.issuing import KeyPair
from nonn.register import Entry, Register
from protos.certificate import Role
from protos.credentials import AUTHORITY, CERTIFICATE, KEY

DAYS: Final = 730
AGGREGATOR: Final = "aggregator"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_REGISTER: Final = "register.json"
_FOLDERS: Final = {Role.DEVICE: "devices", Role.CLIENT: "clients", Role.OPERATOR: "operators"}
_PRIVATE, _PUBLIC = 0o600, 0o644


class Authority:
    """Use within `held()`, so that two commands at once do not undo each other's work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = folder / "authority"

    @classmethod
    def create(cls, folder: Path, now: datetime) -> "Authority":
        """Never in place of another one, and wholly or not at all. Raises CertificateError, StorageError."""
        for taken in (folder / "authority", folder / AGGREGATOR):
            if taken.exists():
                raise CertificateError(
                    f"{taken} exists already, and another authority would make its certificates void: "
                    "`nonn certs aggregator` issues the aggregator's again; or name another folder"
                )
        authority = cls(folder)
        staged = folder / f".authority-{uuid.uuid4().hex}"
        with _storing(folder):
            staged.mkdir(parents=True, mode=0o700)
            pair = issuing.new_authority(now)
            _write(staged / KEY, pair.key, _PRIVATE)
            _write(staged / AUTHORITY, pair.certificate, _PUBLIC)
            _write(staged / _REGISTER, register.render(Register()), _PUBLIC)
            staged.rename(authority._own)
            _sync(folder)
        return authority

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Waits for other commands to be done. Raises CertificateError when there is no authority."""
        if not (self._own / _REGISTER).exists():
            raise CertificateError(
                f"no authority in {self.folder}: `nonn certs init {self.folder}` makes one, or name its "
                "folder with --dir"
            )
        with _storing(self._own):
            descriptor = os.open(self._own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def entries(self) -> Register:
        path = self._own / _REGISTER
        with _storing(path):
            text = path.read_bytes()
        try:
            return register.parse(text)
        except ValueError as error:
            raise CertificateError(f"{path}: {error}; restore it from a copy") from None

    def issue(
        self,
        name: str,
        role: Role,
        now: datetime,
        *,
        days: int = DAYS,
        hosts: Sequence[str] = (),
        renew: bool = False,
    ) -> tuple[Path, Entry]:
        """The folder to hand out, written, and known to the aggregator's list.

        renew: the name has a certificate, which goes on to work until it is over or revoked. hosts: what the
        aggregator is dialled by, besides what it was before. Raises CertificateError, UsageError and
        StorageError.
        """
        entries = self.entries()
        _check_name(name, role, entries, now, renew)
        if role is Role.AGGREGATOR:
            hosts = _all_hosts(entries, hosts)
        issued = issuing.issue(self._pair(), name, role, now, days, hosts)
        entry = Entry(
            name, role, issued.serial, issued.fingerprint, now, issued.valid_until, None, tuple(hosts)
        )
        self._save(entries.with_entry(entry), now)
        folder = self.folder / AGGREGATOR
        if role is not Role.AGGREGATOR:
            folder = self.folder / _FOLDERS[role] / name
        self._hand_out(folder, issued.pair)
        return folder, entry

    def revoke(self, name: str, now: datetime) -> tuple[Entry, ...]:
        """Those that were revoked. Raises CertificateError for a name that has none to revoke."""
        entries = self.entries()
        found = entries.of(name)
        if not found:
            raise CertificateError(
                f"no certificate was ever issued to {name!r}: `nonn certs list` shows all names"
            )
        if found[0].role is Role.AGGREGATOR:
            raise CertificateError(
                "devices and clients ask no list, so the aggregator's certificate cannot be revoked: if its "
                "key is known to others, make a new authority in another folder and issue everything again"
            )
        self._save(entries.revoke(name, now), now)
        return tuple(entry for entry in found if entry.revoked is None)

    def _save(self, entries: Register, now: datetime) -> None:
        with _storing(self.folder):
            _write(self._own / _REGISTER, register.render(entries), _PUBLIC)
            (self.folder / AGGREGATOR).mkdir(mode=0o700, exist_ok=True)
            _write(self.folder / AGGREGATOR / allowed.FILE, allowed.render(entries.allowed(now)), _PUBLIC)

    def _hand_out(self, folder: Path, pair: KeyPair) -> None:
        with _storing(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(folder / KEY, pair.key, _PRIVATE)
            _write(folder / CERTIFICATE, pair.certificate, _PUBLIC)
            _write(folder / AUTHORITY, (self._own / AUTHORITY).read_bytes(), _PUBLIC)

    def _pair(self) -> KeyPair:
        with _storing(self._own):
            return KeyPair((self._own / AUTHORITY).read_bytes(), (self._own / KEY).read_bytes())


def _check_name(name: str, role: Role, entries: Register, now: datetime, renew: bool) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"the name {name!r} must be letters, digits, '.', '_' or '-', 63 at the most")
    if role is Role.AGGREGATOR:
        return
    if name == AGGREGATOR:
        raise UsageError(f"the name {AGGREGATOR} is the aggregator's: choose another")
    others = {entry.role for entry in entries.of(name)} - {role}
    if others:
        raise CertificateError(f"{name} is taken, as the name of role {others.pop()}: choose another")
    good = [entry for entry in entries.of(name) if entry.good(now)]
    if good and not renew:
        raise CertificateError(
            f"{name} has a certificate, valid until {good[-1].valid_until:%Y-%m-%d}: --renew issues another "
            f"(both work then; `nonn certs revoke {name}` first if the old one is in wrong hands)"
        )


def _all_hosts(entries: Register, wished: Sequence[str]) -> list[str]:
    """Without repetition: this machine's, those of before, and the new ones."""
    before = [host for entry in entries.of(AGGREGATOR) for host in entry.hosts]
    own = ["localhost", "127.0.0.1", "::1"]
    with contextlib.suppress(UsageError):
        own.append(issuing.check_host(socket.gethostname()))
    return list(dict.fromkeys([*own, *before, *map(issuing.check_host, wished)]))


@contextlib.contextmanager
def _storing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise StorageError(f"cannot use {where}: {(error.strerror or str(error)).lower()}") from error


def _write(path: Path, data: bytes, mode: int) -> None:
    """Wholly or not at all, and never readable by more than `mode` says, not even for a moment."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.touch(mode & 0o600, exist_ok=False)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
