"""Where to listen."""

import errno
import ipaddress
import socket
from dataclasses import dataclass, replace
from typing import Any

from aggregator.errors import ListenError, SettingsError


@dataclass(frozen=True, slots=True)
class Address:
    """host: a name or an IP address, IPv6 without brackets. port 0: any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """HOST:PORT or [IPV6]:PORT. Raises SettingsError."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
            raise SettingsError(f"{text!r} is no HOST:PORT to listen on, such as 127.0.0.1:7560")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def with_port(self, port: int) -> "Address":
        return replace(self, port=port)


def check_free(address: Address) -> None:
    """Raises ListenError with the system's own reason, which gRPC does not pass on."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _refusal(address, error) from None
    failures = [failure for family, _, _, _, where in found if (failure := _try(family, where)) is not None]
    in_use = [failure for failure in failures if failure.errno not in _NOT_OURS]
    if in_use or len(failures) == len(found):
        raise _refusal(address, (in_use or failures)[0])


# A name such as localhost may have an address of a family that this machine does not use.
_NOT_OURS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def _try(family: int, where: Any) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        return error
    return None


def _refusal(address: Address, error: OSError) -> ListenError:
    reason = (error.strerror or str(error)).lower()
    return ListenError(f"cannot listen on {address}: {reason}; choose another --listen HOST:PORT")
