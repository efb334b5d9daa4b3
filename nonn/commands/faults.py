"""`nonn faults KIND`: trouble on purpose. KINDS names what there is; nonn/faults has a module for each."""

import argparse
from typing import Final

from nonn.faults import listing, replay, run_scenario, simulate, sweep

HELP = "put a cluster under faults, and check that it keeps its promises"
KINDS: Final = {
    "run": run_scenario,
    "list": listing,
    "replay": replay,
    "sweep": sweep,
    "simulate": simulate,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(
        title="kinds", metavar="KIND", dest="kind", required=True, help="`nonn faults KIND --help` says more"
    )
    for name, kind in KINDS.items():
        child = kinds.add_parser(name, help=kind.HELP, description=kind.HELP, allow_abbrev=False)
        kind.add_arguments(child)
        child.set_defaults(run_kind=kind.run)


def run(args: argparse.Namespace) -> int:
    code: int = args.run_kind(args)
    return code
