"""`nonn benchmark-device`: how long each student of a bundle takes on this board."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nonn.commands.arguments import positive_int, positive_seconds

if TYPE_CHECKING:
    from bundle import Bundle
    from device_node.benchmark import Plan, Result, Subject
    from device_node.figures import Conditions

HELP = "measure how long each student of a bundle takes on this board, and how much memory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure every student of a bundle on this board, in a process of its own: single images and "
        "batches, one thread and several, fp32 and, where the bundle has it, int8. The figures go to the "
        "device's state folder: `nonn device` serves the faster precision by them, and the aggregator places "
        "students by them. Stop the device first, and whatever else computes here."
    )
    parser.epilog = (
        "example: nonn benchmark-device samples/digits --json > attic.json; docs/how-to/plan.md goes on"
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument(
        "--students", type=_indices, metavar="LIST", help="such as 0,3; default: all of the bundle"
    )
    parser.add_argument(
        "--threads", type=_counts, metavar="LIST", help="default: 1, 2 and 4, as far as there are cores"
    )
    parser.add_argument(
        "--batches",
        type=_counts,
        metavar="LIST",
        default=(1, 4, 16),
        help="images at once, with the first number of threads; default: 1,4,16",
    )
    parser.add_argument(
        "--precision", choices=("both", "fp32", "int8"), default="both", help="default: %(default)s"
    )
    parser.add_argument(
        "--seconds",
        type=positive_seconds,
        default=0.5,
        metavar="SECONDS",
        help="for each measurement at the most; default: %(default)s",
    )
    parser.add_argument("--name", help="of the device that goes by the figures; default: this host's name")
    parser.add_argument("--state", metavar="DIR", type=Path, help="its state folder, if it was given one")
    parser.add_argument("--no-save", action="store_true", help="leave the device's state folder alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    from bundle import Bundle
    from device_node import benchmark, machine
    from device_node.figures import current_conditions

    # All that a device loads before it joins is loaded by now, and nothing else.
    offered = machine.memory_for_students()
    plan = _plan(args)
    bundle = Bundle.load(args.bundle)
    _check_students(bundle, plan)
    conditions = current_conditions()
    with _figures(args, conditions) as keep:
        with _progress(len(benchmark.subjects(bundle, plan))) as announce:
            results = benchmark.run(bundle, plan, announce)
        saved = keep(results)
    if args.json:
        print(json.dumps(_as_json(args.name, offered, bundle, conditions, results), indent=1))
    else:
        _show(bundle, plan, conditions, results, saved)
    return 1 if any(result.report.error for result in results) else 0


def _counts(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(positive_int(word) for word in text.split(",")))


def _indices(text: str) -> frozenset[int]:
    return frozenset(0 if word == "0" else positive_int(word) for word in text.split(","))


def _plan(args: argparse.Namespace) -> "Plan":
    from device_node import machine
    from device_node.benchmark import PRECISIONS, Plan

    threads = args.threads or tuple(count for count in (1, 2, 4) if count <= machine.cores())
    precisions = [one for one in PRECISIONS if args.precision in ("both", one)]
    batches = tuple(dict.fromkeys((1, *args.batches)))
    return Plan(threads, batches, args.seconds, args.students or frozenset(), frozenset(precisions))


def _check_students(bundle: "Bundle", plan: "Plan") -> None:
    from device_node.benchmark import subjects
    from nonn.errors import UsageError

    count = len(bundle.manifest.students)
    if plan.students and max(plan.students) >= count:
        raise UsageError(
            f"--students: there is no student {max(plan.students)}; the bundle has 0 to {count - 1}"
        )
    if not subjects(bundle, plan):
        raise UsageError(f"{bundle.path} has no int8 students: `nonn quantize` makes them")


@contextmanager
def _figures(
    args: argparse.Namespace, conditions: "Conditions"
) -> "Iterator[Callable[[Sequence[Result]], Path | None]]":
    """Holds the state folder, so that no device serves meanwhile. Yields what keeps the results there."""
    from bundle.errors import StorageError
    from device_node import DeviceSettings, StateFolder, benchmark
    from device_node.figures import Figures
    from device_node.state import FolderInUse, default_folder

    if args.no_save:
        yield lambda results: None
        return
    name = DeviceSettings(name=args.name).display_name
    path = args.state or default_folder(name)
    try:
        folder = StateFolder(path, name)
    except FolderInUse:
        raise StorageError(
            f"a device runs with the state folder {path}, which would disturb the measurement: stop it "
            "first, or measure all the same with --no-save"
        ) from None
    with folder:
        yield lambda results: path if benchmark.keep(results, Figures(path, conditions)) else None


@contextmanager
def _progress(total: int) -> "Iterator[Callable[[Subject], None]]":
    """A bar on standard error where rich is there and somebody looks, else a line for each student."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        number = iter(range(1, total + 1))
        yield lambda subject: print(
            f"{next(number)} of {total}: {_name(subject)}", file=sys.stderr, flush=True
        )
        return
    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=total)
        begun = iter((0, *[1] * total))
        yield lambda subject: bars.update(bar, advance=next(begun), description=_name(subject))


def _name(subject: "Subject") -> str:
    return f"student {subject.student} in {subject.precision}"


def _as_json(
    name: str | None,
    offered: int,
    bundle: "Bundle",
    conditions: "Conditions",
    results: "Sequence[Result]",
) -> dict[str, object]:
    from dataclasses import asdict

    from device_node import machine
    from device_node.settings import host_name

    return {
        "name": name or host_name(),
        "processor": conditions.processor,
        "runtime": conditions.runtime,
        "architecture": machine.architecture(),
        "cores": machine.cores(),
        "memory_bytes": offered,
        "bundle": bundle.manifest.id,
        "students": [
            {
                "student": result.subject.student,
                "precision": result.subject.precision,
                "sha256": result.subject.sha256,
                "multiply_adds": result.multiply_adds,
                "peak_bytes": result.report.peak_bytes,
                "error": result.report.error,
                "measurements": [
                    {"threads": one.threads, "batch": one.batch, "milliseconds": asdict(one.timing)}
                    for one in result.report.measurements
                ],
            }
            for result in results
        ],
    }


def _show(
    bundle: "Bundle", plan: "Plan", conditions: "Conditions", results: "Sequence[Result]", saved: Path | None
) -> None:
    print(f"{bundle.manifest.name} on {conditions.processor}, ONNX Runtime {conditions.runtime}")
    print("milliseconds: the median, and what 5 and 95 of 100 runs stay below; of batches for one image\n")
    columns = [(threads, 1) for threads in plan.threads]
    columns += [(plan.threads[0], batch) for batch in plan.batches if batch > 1]
    headings = [f"{threads} thread{'s'[: threads > 1]}" for threads in plan.threads]
    headings += [f"batch of {batch}" for batch in plan.batches if batch > 1]
    rows = [("student", *headings, "peak memory")]
    for result in results:
        name = f"{result.subject.student} {result.subject.precision}"
        if not result.report.error:
            cells = (_cell(result, *column) for column in columns)
            rows.append((name, *cells, f"{result.report.peak_bytes / 1e6:.0f} MB"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for result in results:
        if result.report.error:
            print(f"{_name(result.subject)} was not measured: {result.report.error}")
    print("\n" + (f"kept in {saved}: the device goes by it from its next start" if saved else "not kept"))


def _cell(result: "Result", threads: int, batch: int) -> str:
    found = result.find(threads, batch)
    if found is None:
        return ""
    median, low, high = (x / batch for x in (found.timing.median, found.timing.low, found.timing.high))
    return f"{median:.3g} ({low:.3g} to {high:.3g})" if batch == 1 else f"{median:.3g}"
