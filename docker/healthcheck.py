"""Is this container's `nonn` doing its work? Exit code 0: yes.

An aggregator is healthy when it answers; a device when its aggregator counts it among those that serve or
stand by. What runs here, and with which options, is read from the process table.
"""

import socket
import sys
from argparse import Namespace
from pathlib import Path

from nonn.cli import build_parser
from nonn.client import Client
from protos import endpoints
from protos.credentials import Credentials

WORKING = {"serving", "idle"}
SECONDS = 5.0


def running_command() -> Namespace:
    """The options of the `nonn aggregator` or `nonn device` of this container."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().decode().split("\0")[:-1]
        for command in ("aggregator", "device"):
            if len(words) > 2 and words[1].endswith("/nonn") and words[2] == command:
                return build_parser([command]).parse_args(words[2:])
    sys.exit("neither `nonn aggregator` nor `nonn device` runs here")


def main() -> None:
    options = running_command()
    is_device = options.command == "device"
    address = options.aggregator if is_device else f"127.0.0.1:{endpoints.split(options.listen)[1]}"
    with Client(address, tls=options.tls, insecure=options.tls is None) as client:
        status = client.status(deadline=SECONDS)
    if is_device:
        own = Credentials.load(options.tls).own.name if options.tls else options.name
        name = own or socket.gethostname()
        if not any(device.name == name and device.state in WORKING for device in status.devices):
            sys.exit(f"the aggregator does not count {name} among the working devices")


if __name__ == "__main__":
    main()
