"""Why a TLS connection does not come about. gRPC often knows no more than `Socket closed`."""

import socket
import ssl
from pathlib import Path
from typing import Final

from protos import endpoints
from protos.credentials import AUTHORITY, CERTIFICATE, KEY, now

SECONDS: Final = 1.0
_EXPIRED, _NOT_YET, _PURPOSE, _NAMES = 10, 9, 26, {62, 64}


def why_not(address: str, folder: Path) -> str | None:
    """Shake hands once more and say what is wrong with it; None when nothing is, or nobody answers.

    Blocks for about SECONDS at the most.
    """
    host, _ = endpoints.split(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(folder / AUTHORITY)
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY, password="")
        if _shake_hands(address, context):
            return None
    except ssl.SSLCertVerificationError as error:
        return _distrust(error, host, folder)
    except ssl.SSLError as error:
        what = (error.reason or "unknown reason").lower().replace("_", " ")
        return f"what answers there does not speak TLS as we do ({what}): start the aggregator with --tls too"
    except (OSError, ValueError):
        return None
    # gRPC does not say why; all that it can have looked at by now is our certificate.
    return (
        f"the aggregator does not take {folder / CERTIFICATE}: it is not of the aggregator's authority, or "
        "not valid by the aggregator's clock"
    )


def speaks_tls(address: str) -> bool:
    """Whether what answers there begins to shake hands. Blocks for about SECONDS at the most."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        _shake_hands(address, context)
    except OSError:
        return False
    return True


def _shake_hands(address: str, context: ssl.SSLContext) -> bool:
    """Whether the other side stays on the line then. Raises OSError, of which ssl.SSLError is one."""
    host, port = endpoints.split(address)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, port), SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=host) as secured,
    ):
        try:
            # In TLS 1.3 a client that is refused learns it when it first reads.
            return bool(secured.recv(1))
        except TimeoutError:
            return True


def _distrust(error: ssl.SSLCertVerificationError, host: str, folder: Path) -> str:
    clock = f"this machine's clock says {now():%Y-%m-%d}"
    if error.verify_code == _EXPIRED:
        return (
            f"the aggregator's certificate has expired ({clock}): issue another with "
            "`nonn certs aggregator`, or set the clock"
        )
    if error.verify_code == _NOT_YET:
        return f"the aggregator's certificate is not valid yet ({clock}): set the clock"
    if error.verify_code in _NAMES:
        return (
            f"the aggregator's certificate is not for {host}: "
            f"`nonn certs aggregator --host {host}` issues one that is"
        )
    if error.verify_code == _PURPOSE:
        return "what answers there holds no aggregator's certificate: it may be somebody else"
    return (
        f"the aggregator's certificate is not of the authority of {folder / AUTHORITY}: "
        "take a folder that the aggregator's own authority has issued"
    )
