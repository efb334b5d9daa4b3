"""`nonn demo`: everything on this machine, from training a teacher to killing half of the devices."""

import argparse
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nonn.commands.arguments import positive_int

if TYPE_CHECKING:
    from nonn.demonstration import Outcome

HELP = "train, split and serve a network with eight processes, and kill four of them in mid-stream"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "On scikit-learn's handwritten digits: train a teacher, split its filters into 4 parts, distil 8 "
        "students, serve them with one process each over gRPC, stream the held-out images through, and kill "
        "devices with SIGKILL while requests are in flight. The table tells what that cost."
    )
    parser.add_argument("--devices", type=positive_int, default=8, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--kill", type=int, metavar="N", help="devices to kill, one after another; default: half of them"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of training and of who is killed")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the bundle there")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(args: argparse.Namespace) -> int:
    # Before torch loads: operators on 8x8 images are so short that threads wait more than they work.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from nonn.demonstration import demonstrate
    from nonn.errors import UsageError

    kill = args.devices // 2 if args.kill is None else args.kill
    if not 0 <= kill < args.devices:
        raise UsageError(f"--kill must leave a device: from 0 to {args.devices - 1}, not {kill}")
    # A `kill` from outside ends the cluster's processes in order too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    outcome = demonstrate(devices=args.devices, kill=kill, seed=args.seed, keep=args.keep)
    seconds = time.monotonic() - started
    if args.json:
        print(json.dumps(_as_json(outcome, seconds)))
    else:
        _show(outcome, seconds)
        if args.keep is not None:
            print(f"the bundle is in {args.keep}: nonn aggregator --bundle {args.keep}")
    return 0


def _as_json(outcome: "Outcome", seconds: float) -> dict[str, Any]:
    first, last, total = outcome.steps[0], outcome.steps[-1], outcome.total
    return {
        "devices": outcome.devices,
        "parts": outcome.parts,
        "killed": len(outcome.steps) - 1,
        "requests": total.requests,
        "answered": total.answered,
        "refused": total.refused,
        "lost": total.lost,
        "accuracy_all": first.accuracy,
        "accuracy_after_kill": last.accuracy,
        "expected_all": first.expected,
        "expected_after_kill": last.expected,
        "accuracy_teacher": outcome.accuracy_teacher,
        "images": outcome.images,
        "seconds": round(seconds, 1),
        "steps": [
            {
                "killed": step.killed,
                "students": list(step.students),
                "accuracy": step.accuracy,
                "expected": step.expected,
                "images": step.images,
                "requests": step.tally.requests,
                "answered": step.tally.answered,
                "refused": step.tally.refused,
                "lost": step.tally.lost,
            }
            for step in outcome.steps
        ],
    }


def _show(outcome: "Outcome", seconds: float) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    names = ("killed", "students left", "accuracy", "predicted", "answered", "refused", "lost")
    table = Table(*names, box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[2:]:
        column.justify = "right"
    for step in outcome.steps:
        accuracy = "-" if step.accuracy is None else f"{step.accuracy:.1%}"
        counts = (step.tally.answered, step.tally.refused, step.tally.lost)
        students = " ".join(str(student) for student in step.students)
        table.add_row(step.killed or "nobody", students, accuracy, f"{step.expected:.1%}", *map(str, counts))
    console = Console(highlight=False)
    console.print(table)
    total = outcome.total
    console.print(
        f"{total.requests} requests: {total.answered} answered, {total.refused} refused, {total.lost} lost. "
        f"Accuracy on {outcome.images} held-out images; the teacher's: {outcome.accuracy_teacher:.1%}. "
        f"Predicted: measured on other images when the bundle was built. {seconds:.0f} s in all."
    )
