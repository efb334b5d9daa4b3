"""`nonn reload`: have a running cluster serve another bundle."""

import argparse
import json
from pathlib import Path

from nonn.commands import arguments

HELP = "have a running cluster serve another bundle, without a break"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Sends the bundle to the aggregator. The devices load and test it beside the one that they serve. "
        "The cluster changes over when at least as many devices pass, and stays as it was otherwise (exit "
        "code 11). The aggregator keeps the bundle in memory: started again, it serves its --bundle."
    )
    parser.add_argument("bundle", metavar="DIR", type=Path, help="what `nonn build` made")
    arguments.add_address(parser)
    parser.add_argument(
        "--deadline",
        type=arguments.positive_seconds,
        default=120.0,
        metavar="SECONDS",
        help="how long to wait for the outcome, which `nonn status` shows too; default: %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from nonn.client import Client

    with Client(args.aggregator, insecure=args.insecure, tls=args.tls) as client:
        done = client.reload(args.bundle, args.deadline)
    if args.json:
        found = {"bundle": done.bundle, "previous": done.previous, "devices": done.devices}
        print(json.dumps(found, indent=2))
    else:
        print(f"{done.devices} devices serve bundle {done.bundle[:12]}, instead of {done.previous[:12]}")
    return 0
