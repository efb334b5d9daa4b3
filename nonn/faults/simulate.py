"""`nonn faults simulate`: random scenarios against the aggregator's core, on virtual time."""

import argparse
import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fault_lab.invariants import Violation
    from fault_lab.simulation import Tally

HELP = "run random seeded scenarios against the aggregator's core, on virtual time"
DEFAULT_SEEDS = range(1000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--seeds",
        type=seeds,
        default=DEFAULT_SEEDS,
        metavar="A:B",
        help=f"scenarios A to B - 1; default: {DEFAULT_SEEDS.start}:{DEFAULT_SEEDS.stop}",
    )
    which.add_argument("--seed", type=int, metavar="N", help="one scenario")
    parser.add_argument("--trace", action="store_true", help="print each step of the scenario (with --seed)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from nonn.errors import InvariantViolated, UsageError

    if args.trace and (args.seed is None or args.json):
        raise UsageError("--trace goes with --seed N, and without --json")
    chosen = args.seeds if args.seed is None else range(args.seed, args.seed + 1)
    started = time.perf_counter()
    tally, seed, violation = _run_seeds(chosen, trace=args.trace)
    per_minute = 60 * tally.scenarios / (time.perf_counter() - started)
    replay = f"nonn faults simulate --seed {seed} --trace"
    if args.json:
        print(json.dumps(_as_json(tally, per_minute, violation, replay)))
    if violation is not None:
        if not (args.json or args.trace):
            print(*violation.history, sep="\n", file=sys.stderr)
        raise InvariantViolated(f"seed {seed}, {violation}; see it again with `{replay}`")
    if not (args.json or args.trace):
        _show(tally, per_minute)
    return 0


def _run_seeds(seeds: range, *, trace: bool) -> "tuple[Tally, int, Violation | None]":
    """Until the first violation: what happened, the last seed, and what it has violated."""
    from fault_lab.invariants import Violation
    from fault_lab.simulation import Simulation, Tally, draw
    from student_builder.progress import RichProgress, Silent

    tally, seed = Tally(), seeds.start
    progress = RichProgress() if sys.stderr.isatty() and len(seeds) > 1 else Silent()
    with progress.task("scenarios", len(seeds)) as task:
        for seed in seeds:
            simulation = Simulation(draw(seed))
            try:
                tally.add(simulation.run())
            except Violation as violation:
                return tally, seed, violation
            finally:
                if trace:
                    print(*simulation.history.lines(), sep="\n")
            task.advance()
    return tally, seed, None


def _as_json(tally: "Tally", per_minute: float, violation: "Violation | None", replay: str) -> dict[str, Any]:
    return {
        "scenarios": tally.scenarios,
        "scenarios_per_minute": round(per_minute),
        "virtual_seconds": round(tally.seconds, 1),
        "steps": tally.steps,
        "requests": tally.count["requests"],
        "answered": tally.count["answered"],
        "degraded": tally.count["degraded"],
        "refused": tally.count["refused"],
        "cancelled": tally.count["cancelled"],
        "reloads": tally.count["reloaded"],
        "faults": tally.faults,
        "violation": violation
        and {"invariant": violation.invariant.name, "what": str(violation), "replay": replay},
    }


def _show(tally: "Tally", per_minute: float) -> None:
    count = tally.count
    print(
        f"{tally.scenarios} scenarios, {tally.seconds / 3600:.1f} hours of virtual time, "
        f"{tally.steps} steps of the core, {sum(tally.faults.values())} faults"
    )
    print(
        f"{count['requests']} requests: {count['answered']} answered, {count['degraded']} of them degraded; "
        f"{count['refused']} refused, {count['cancelled']} cancelled"
    )
    print(f"every promise was kept; {per_minute:.0f} scenarios a minute")


def seeds(text: str) -> range:
    found = re.fullmatch(r"(\d+):(\d+)", text, re.ASCII)
    if found is None or int(found[1]) >= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not A:B with A below B")
    return range(int(found[1]), int(found[2]))
