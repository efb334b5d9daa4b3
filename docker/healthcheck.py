"""Is this container's process doing its work? Exit code 0: yes.

An aggregator is healthy when it answers; a device when its aggregator counts it among those that serve or
stand by; links when the aggregator answers through each of them. What runs here, and with which options, is
read from the process table. It imports little, since a container may have a twentieth of a core.
"""

import socket
import sys
from argparse import Namespace
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import grpc

from nonn.cli import build_parser
from protos import endpoints, nonn_pb2, nonn_pb2_grpc
from protos.credentials import Credentials

WORKING = {nonn_pb2.SERVING, nonn_pb2.IDLE}
SECONDS = 5.0
LINKS = ["-m", "fault_lab.proxy"]
MISCHIEF = ["-m", "fault_lab.mischief"]


def processes() -> Iterator[list[str]]:
    """The command lines of this container, without the interpreter."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")[1:-1]
        except OSError:  # it has ended meanwhile
            continue
        if words[:2] == LINKS or words[:2] == MISCHIEF or (words and words[0].endswith("/nonn")):
            yield words


def ask(address: str, tls: Path | None = None) -> nonn_pb2.StatusResponse:
    """What the aggregator at this address, or behind it, says of its cluster."""
    options = [("grpc.enable_http_proxy", 0)]
    if tls is None:
        channel = grpc.insecure_channel(address, options=options)
    else:
        channel = grpc.secure_channel(address, Credentials.load(tls).for_channel(), options=options)
    with channel:
        try:
            return nonn_pb2_grpc.InferenceStub(channel).Status(nonn_pb2.StatusRequest(), timeout=SECONDS)
        except grpc.RpcError as error:
            sys.exit(f"no aggregator answers at {address}: {error.code().name}")


def check_links(words: list[str]) -> None:
    for option, value in pairwise(words):
        if option == "--listen":
            ask(f"127.0.0.1:{endpoints.split(value.rpartition('=')[2])[1]}")


def check_device(options: Namespace) -> None:
    own = Credentials.load(options.tls).own.name if options.tls else options.name
    name = own or socket.gethostname()
    status = ask(options.aggregator, options.tls)
    if not any(device.name == name and device.state in WORKING for device in status.devices):
        sys.exit(f"the aggregator does not count {name} among the working devices")


def main() -> None:
    for words in processes():
        if words[:2] == LINKS:
            return check_links(words)
        command = ["device", *words[3:]] if words[:2] == MISCHIEF else words[1:]
        if command[:1] == ["device"]:
            return check_device(build_parser(["device"]).parse_args(command))
        if command[:1] == ["aggregator"]:
            options = build_parser(["aggregator"]).parse_args(command)
            ask(f"127.0.0.1:{endpoints.split(options.listen)[1]}", options.tls)
            return None
    sys.exit("neither an aggregator nor a device nor links run here")


if __name__ == "__main__":
    main()
