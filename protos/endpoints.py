"""HOST:PORT, and which hosts may be spoken to in plain text."""

import ipaddress


def split(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[ipv6]:port`. ValueError says in one line what is wrong."""
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or (":" in host and not bracketed):
        raise ValueError(f"{address!r} is no HOST:PORT, such as 127.0.0.1:7560 or [::1]:7560")
    if int(port) > 65535:
        raise ValueError(f"{address!r}: the port must be at most 65535")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether traffic to this host stays on this machine. A name other than localhost does not count."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_dialled(address: str, *, insecure: bool, tls: bool) -> None:
    """ValueError unless it is well formed, and secure or on loopback, or plain text was asked for aloud."""
    host, _ = split(address)
    if not insecure and not tls and not is_loopback(host):
        raise ValueError(
            f"{address} is another machine and the connection would be in plain text: "
            "name your folder of certificates, --tls DIR (tls=DIR), or add --insecure (insecure=True) if "
            "that network is trusted"
        )
