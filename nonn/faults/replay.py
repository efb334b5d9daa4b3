"""`nonn faults replay`: a run once more, from its folder."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nonn.faults import run_scenario, verdict

if TYPE_CHECKING:
    from nonn.faults.execution import Result

HELP = "do a run once more: the same scenario, ground, seed and bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Do a run once more, from what it left in its folder. On simulation everything happens again, event "
        "by event; elsewhere the same is done to the same devices at the same times."
    )
    parser.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: a new one under runs/faults")
    run_scenario.add_printing(parser)


def run(args: argparse.Namespace) -> int:
    from fault_lab.run.folder import SCENARIO, read_result
    from nonn.faults.execution import Order, execute
    from nonn.faults.laboratory import check_same_bundle

    before = read_result(args.folder)
    folder = args.folder if args.folder.is_dir() else args.folder.parent
    bundle = check_same_bundle(before["bundle"])
    order = Order(
        str(folder / SCENARIO),
        before["ground"],
        before["seed"],
        bundle,
        args.output,
        args.quiet or args.json,
        Path(before["base"]),
    )
    result = execute(order)
    if not args.json:
        _compare(before, result)
    return verdict.tell(result, as_json=args.json)


def _compare(before: dict[str, Any], result: "Result") -> None:
    after = result.summary
    rows = [f"{name} {before[name]} then, {after[name]} now" for name in verdict.COUNTS]
    same = all(before[name] == after[name] for name in verdict.COUNTS)
    print("as before" if same else "; ".join(rows))
