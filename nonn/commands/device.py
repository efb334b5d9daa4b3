"""`nonn device`: be one device of a cluster until told to stop."""

import argparse
from pathlib import Path

from nonn.commands import arguments

HELP = "join a cluster as a device: fetch students from the aggregator and answer with partial logits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_address(parser)
    parser.add_argument("--name", help="shown in the status; default: this host's name")
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        help="identity and cached students; default: nonn/devices/NAME under $XDG_STATE_HOME",
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="computing one student; default: %(default)s"
    )
    parser.add_argument(
        "--parallel",
        type=int,
        metavar="N",
        help="students computed at a time, where it hosts several; default: what its cores allow",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "int8"),
        default="auto",
        help="of students that have an int8 twin; default: %(default)s, whichever is faster here",
    )
    parser.add_argument(
        "--memory",
        type=int,
        metavar="MB",
        help="for students at the most, beside 95 of the device itself; default: what is free",
    )
    parser.add_argument(
        "--cache", type=int, default=512, metavar="MB", help="of students kept on disk; default: %(default)s"
    )
    parser.add_argument(
        "--give-up",
        type=float,
        metavar="SECONDS",
        help="end with code 10 when the aggregator is out of reach for so long; default: keep trying",
    )


def run(args: argparse.Namespace) -> int:
    import logging
    import os

    from nonn.system import refuse_32_bit

    refuse_32_bit()
    # numpy would make a thread for each core, and a device multiplies no matrices with it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import device_node

    # One line on stderr for each change of state.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = device_node.DeviceSettings(
        aggregator=args.aggregator,
        name=args.name,
        state=args.state,
        threads=args.threads,
        parallel=args.parallel,
        precision=args.precision,
        memory_megabytes=args.memory,
        cache_megabytes=args.cache,
        give_up_seconds=args.give_up,
        insecure=args.insecure,
        tls=args.tls,
    )
    return device_node.run(settings)
