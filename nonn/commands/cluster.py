"""`nonn cluster ACTION`: clusters in containers. ACTIONS, at the end, names what there is."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

HELP = "write clusters of boards for docker compose"


@dataclass(frozen=True, slots=True)
class Action:
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(
        title="actions",
        metavar="ACTION",
        dest="action",
        required=True,
        help="see `nonn cluster ACTION --help`",
    )
    for name, action in ACTIONS.items():
        child = actions.add_parser(name, help=action.summary, description=action.summary, allow_abbrev=False)
        action.add_arguments(child)


def run(args: argparse.Namespace) -> int:
    return ACTIONS[args.action].run(args)


def _add_compose(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Relative paths count from the compose file. docs/how-to/containers.md lists boards and links."
    )
    parser.add_argument(
        "--devices",
        metavar="BOARD:COUNT,...",
        required=True,
        help="such as pi4:6,zero2:2; boards: pi3, pi4, pi5, zero2",
    )
    parser.add_argument("--link", metavar="LINK", help="ethernet, wifi or slow; default: as fast as can be")
    parser.add_argument(
        "--bundle",
        metavar="DIR",
        help="what is served; default: what BUNDLE names at the start, or samples/digits",
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=int,
        default=7560,
        help="of the aggregator, on this machine's loopback; default: %(default)s",
    )
    parser.add_argument(
        "--context",
        metavar="DIR",
        default=".",
        help="the checkout that the image is built from; default: %(default)s",
    )


def _compose(args: argparse.Namespace) -> int:
    from fault_lab.containers.boards import parse_groups
    from fault_lab.containers.compose_file import BoardCluster
    from fault_lab.proxy import LINKS
    from nonn.errors import UsageError

    try:
        groups = parse_groups(args.devices)
    except ValueError as error:
        raise UsageError(f"--devices: {error}") from None
    if args.link is not None and args.link not in LINKS:
        raise UsageError(f"--link: {args.link!r} is none of {', '.join(LINKS)}")
    if not 0 < args.port < 65536:
        raise UsageError(f"--port: {args.port} is no port, which is a number from 1 to 65535")
    cluster = BoardCluster(groups, args.link, args.bundle, args.context, args.port)
    print(cluster.text(), end="")
    return 0


ACTIONS: Final = {
    "compose": Action("print a compose file for a cluster of boards", _add_compose, _compose),
}
