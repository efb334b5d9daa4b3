"""Whether an address can be listened on."""

import errno
import socket
from typing import Any

from aggregator.errors import ListenError

# A name such as localhost may have an address of a family that this machine does not use.
_NOT_OURS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def join(host: str, port: int) -> str:
    """HOST:PORT, or [IPV6]:PORT."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_free(host: str, port: int) -> None:
    """Raises ListenError with the system's own reason, which gRPC does not pass on."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _refusal(host, port, error) from None
    failures = [failure for family, _, _, _, where in found if (failure := _try(family, where)) is not None]
    in_use = [failure for failure in failures if failure.errno not in _NOT_OURS]
    if in_use or len(failures) == len(found):
        raise _refusal(host, port, (in_use or failures)[0])


def _try(family: int, where: Any) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        return error
    return None


def _refusal(host: str, port: int, error: OSError) -> ListenError:
    reason = (error.strerror or str(error)).lower()
    return ListenError(f"cannot listen on {join(host, port)}: {reason}; choose another --listen HOST:PORT")
