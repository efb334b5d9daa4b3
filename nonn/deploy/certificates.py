"""The certificate that a host's device is to have, from the folder of `nonn certs`."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from nonn.deploy.plan import Certificates
from nonn.errors import CertificateError
from protos.certificate import Role
from protos.credentials import AUTHORITY, CERTIFICATE, KEY, Credentials

RENEW: Final = timedelta(days=30)  # before its end a certificate is replaced


def folder_of(certs: Path, name: str) -> Path:
    return certs / "devices" / name


def look(certs: Path, name: str, now: datetime) -> Certificates:
    """Changes nothing. Raises CertificateError for one that is revoked, or that nobody here can issue."""
    folder = folder_of(certs, name)
    here = (certs / "authority" / "register.json").exists()
    if not folder.exists():
        if not here:
            raise CertificateError(
                f"there is neither {folder} nor an authority in {certs} that could issue it"
            )
        _check_not_revoked(certs, name, now)
        return Certificates({}, issue=f"issue a certificate to {name}")
    try:
        found = Credentials.load(folder, Role.DEVICE)
    except ValueError as error:
        raise CertificateError(str(error)) from None
    if found.own.name != name:
        raise CertificateError(f"{folder} is the certificate of {found.own.name}, not of {name}")
    if here:
        _check_not_revoked(certs, name, now)
    if now + RENEW > found.own.not_after:
        if not here:
            raise CertificateError(f"{folder} is over on {found.own.not_after:%Y-%m-%d}: issue another")
        return Certificates(
            {}, issue=f"renew its certificate, which is over on {found.own.not_after:%Y-%m-%d}"
        )
    files = {AUTHORITY: found.authority, CERTIFICATE: found.certificate, KEY: found.key}
    return Certificates(files, valid=(found.own.not_before, found.own.not_after))


def issue(certs: Path, name: str, now: datetime) -> Certificates:
    """By the authority in the same folder. Raises CertificateError, StorageError."""
    from nonn.authority import Authority

    authority = Authority(certs)
    with authority.held():
        authority.issue(name, Role.DEVICE, now, renew=True)
    return look(certs, name, now)


def _check_not_revoked(certs: Path, name: str, now: datetime) -> None:
    """A certificate that somebody took back is not handed out again, nor replaced unasked."""
    from nonn.authority import Authority

    entries = Authority(certs).entries().of(name)
    if any(entry.revoked for entry in entries) and not any(entry.good(now) for entry in entries):
        raise CertificateError(
            f"the certificate of {name} was revoked: `nonn certs device {name} --dir {certs}` issues another"
        )
