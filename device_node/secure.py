"""The device's certificate, and what is wrong when it does not get it in."""

import asyncio
from dataclasses import replace

from device_node.connection import ConnectionEnded
from device_node.errors import CertificateError
from device_node.settings import DeviceSettings
from protos import credentials, handshake
from protos.certificate import Role
from protos.credentials import Credentials


def load_credentials(settings: DeviceSettings) -> Credentials | None:
    """None in plain text. Raises CertificateError; not for dates, since a board's clock may still be set."""
    if settings.tls is None:
        return None
    try:
        return Credentials.load(settings.tls, Role.DEVICE)
    except ValueError as error:
        raise CertificateError(str(error)) from None


def named_by_certificate(settings: DeviceSettings) -> DeviceSettings:
    """The certificate's name in place of the host's, unless another was given. Raises CertificateError."""
    loaded = load_credentials(settings)
    return replace(settings, name=loaded.own.name) if loaded and settings.name is None else settings


def current_credentials(settings: DeviceSettings) -> Credentials | None:
    """As they are on disk now, and good at this time. Raises CertificateError."""
    loaded = load_credentials(settings)
    try:
        if loaded is not None:
            loaded.check_dates(credentials.now())
    except ValueError as error:
        raise CertificateError(str(error)) from None
    return loaded


async def find_fault(settings: DeviceSettings, ended: ConnectionEnded) -> CertificateError | None:
    """What certificates have to do with the end of a connection; None: nothing."""
    if ended.turned_away:
        return CertificateError(str(ended))
    if settings.tls is not None:
        why = await asyncio.to_thread(handshake.why_not, settings.aggregator, settings.tls)
        return None if why is None else CertificateError(why)
    if "closed" in str(ended).lower() and await asyncio.to_thread(handshake.speaks_tls, settings.aggregator):
        return CertificateError("it wants TLS: name your folder of certificates, --tls DIR")
    return None
