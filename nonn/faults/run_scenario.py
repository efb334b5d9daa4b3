"""`nonn faults run`: one scenario on one ground, and its report."""

import argparse
import json
from pathlib import Path
from typing import Any

from nonn.faults import verdict
from nonn.faults.laboratory import GROUNDS
from nonn.faults.simulate import seeds

HELP = "run a scenario of failures, and hold every request to what the cluster promises"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "example: nonn faults run half_lost --on processes; `nonn faults list` shows the scenarios that come "
        "with nonn, docs/reference/scenario.md how to write one. Ends with code 14 when a promise was broken."
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="a .toml file, or a name of `nonn faults list`")
    parser.add_argument(
        "--on",
        choices=GROUNDS,
        default="processes",
        dest="ground",
        help="simulation (virtual time), processes of this machine, or compose (containers); "
        "default: %(default)s",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=seed, metavar="N", help="default: the scenario's own")
    which.add_argument(
        "--seeds",
        type=seeds,
        metavar="A:B",
        help="on simulation: seeds A to B - 1, until one breaks a promise",
    )
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="default: the scenario's own, else the digits sample"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="a new folder; default: one under runs/faults"
    )
    add_printing(parser)


def add_printing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no live view")


def seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 4294967295")
    return int(text)


def run(args: argparse.Namespace) -> int:
    from nonn.errors import UsageError
    from nonn.faults.execution import Order, execute

    if args.seeds is not None:
        if args.ground != "simulation":
            raise UsageError("--seeds goes with --on simulation: elsewhere a run takes as long as it says")
        return _run_seeds(args)
    order = Order(args.scenario, args.ground, args.seed, args.bundle, args.output, args.quiet or args.json)
    return verdict.tell(execute(order), as_json=args.json)


def _run_seeds(args: argparse.Namespace) -> int:
    """Tells what all of them came to; the one that broke a promise is run again for its report."""
    from fault_lab.grounds.simulation import simulate
    from fault_lab.record import summarise
    from nonn.faults import laboratory
    from nonn.faults.execution import Order, execute, read

    given = read(args.scenario, "simulation", args.bundle)
    total: dict[str, Any] = dict.fromkeys(verdict.COUNTS, 0)
    with laboratory.progress(len(args.seeds)).task("seeds", len(args.seeds)) as task:
        for number in args.seeds:
            found = simulate(given.scenario, number, given.bundle)
            if found.problems:
                break
            summary = summarise(found)
            for name in verdict.COUNTS:
                total[name] += summary[name]
            task.advance()
    if found.problems:
        order = Order(args.scenario, "simulation", number, args.bundle, args.output, quiet=True)
        return verdict.tell(execute(order), as_json=args.json)
    about = {
        "scenario": given.scenario.name,
        "ground": "simulation",
        "seeds": len(args.seeds),
        "passed": True,
    }
    total = {**about, **total}
    print(json.dumps(total) if args.json else verdict.line(total))
    return 0
