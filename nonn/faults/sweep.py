"""`nonn faults sweep`: every k of n devices lost, live, against the accuracies that the bundle foretells."""

import argparse
import asyncio
import json
import math
import shlex
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nonn.commands.arguments import positive_int
from nonn.faults.run_scenario import seed

if TYPE_CHECKING:
    from bundle import Bundle
    from fault_lab.report.sweep import SweepCell
    from fault_lab.run.sweep import Found

HELP = "measure a live cluster's accuracy with every k of its n devices lost"
MOST = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Start a cluster, lose every set of its devices one after another, ask about held-out images, and "
        "compare with the offline merge on the same images and with what the bundle foretells. Saves each "
        "set as JSON, and a plot beside it. Ends with code 14 when the cluster's answers are not the merge's."
    )
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="default: the digits sample")
    parser.add_argument("--data", metavar="SOURCE", help="digits, npz:PATH or folder:PATH; default: its own")
    parser.add_argument("--devices", type=positive_int, metavar="N", help="default: one for each student")
    parser.add_argument("--on", choices=("processes", "compose"), default="processes", dest="ground")
    parser.add_argument(
        "--most",
        type=positive_int,
        default=MOST,
        metavar="N",
        help="sets of devices for each k; drawn from the seed where there are more; default: %(default)s",
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="default: %(default)s")
    parser.add_argument("--output", type=Path, metavar="DIR", help="a new folder; default: under runs/faults")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    from bundle import Bundle
    from nonn.errors import UsageError
    from nonn.faults import laboratory

    laboratory.prepare()
    bundle = Bundle.load(args.bundle or laboratory.sample())
    students = len(bundle.manifest.students)
    devices = args.devices or students
    if devices > students:
        raise UsageError(f"--devices: at most one for each of the bundle's {students} students")
    found, folder = _measure(args, bundle, devices)
    cells = _cells(found, bundle, devices)
    _save(folder, bundle, found, cells, args)
    if args.json:
        print(json.dumps(_as_json(folder, bundle, found, cells, args)))
    else:
        _show(cells, folder)
    return _check(found, folder)


def _measure(args: argparse.Namespace, bundle: "Bundle", devices: int) -> "tuple[list[Found], Path]":
    from fault_lab.run.folder import LOGS, make_folder, new_folder
    from fault_lab.run.sweep import Sweep, choose
    from fault_lab.run.truth import Truth
    from fault_lab.scenario import Cluster, Load, Scenario
    from nonn.errors import UsageError
    from nonn.faults import laboratory

    data = laboratory.find_images(bundle, args.data, Path(), args.seed)
    if data.labels is None:
        raise UsageError("the bundle brings no labelled images: name some with --data, such as npz:PATH")
    truth = Truth(bundle, data.images, data.labels)
    scenario = Scenario(
        name="sweep",
        base=Path.cwd(),
        summary="every set of devices lost",
        seconds=1.0,
        cluster=Cluster(devices=devices, heal_after="never"),
        load=Load(clients=1),
    )
    folder: Path = args.output or new_folder("sweep", args.ground, args.seed)
    make_folder(folder)
    sets = choose(devices, args.most, args.seed)
    found: list[Found] = []
    cluster = laboratory.ground_class(args.ground)(
        scenario, bundle.path, folder=folder / LOGS, seed=args.seed
    )
    with (
        laboratory.readiness(),
        cluster,
        laboratory.progress(len(sets)).task("sets of lost devices", len(sets)) as task,
    ):

        def measured(one: "Found") -> None:
            found.append(one)
            task.advance(note=f"{len(one.lost)} lost: {one.observed:.1%}")

        asyncio.run(Sweep(cluster, truth, devices).run(sets, measured))
    return found, folder


def _cells(found: "list[Found]", bundle: "Bundle", devices: int) -> "list[SweepCell]":
    from fault_lab.report.sweep import SweepCell

    # With a student a device, to lose devices is to lose as many students.
    foretold = bundle.by_lost() if devices == len(bundle.manifest.students) else ()
    cells = []
    for lost in range(devices):
        these = [one for one in found if len(one.lost) == lost]
        observed, expected = [one.observed for one in these], [one.expected for one in these]
        known = next((row for row in foretold if row.lost == lost), None)
        cells.append(
            SweepCell(
                lost,
                len(these),
                math.comb(devices, lost),
                sum(one.images for one in these),
                statistics.fmean(observed),
                min(observed),
                max(observed),
                known.mean if known else statistics.fmean(expected),
                known.worst if known else min(expected),
                known.best if known else max(expected),
            )
        )
    return cells


def _as_json(
    folder: Path,
    bundle: "Bundle",
    found: "list[Found]",
    cells: "list[SweepCell]",
    args: argparse.Namespace,
) -> dict[str, Any]:
    from fault_lab.report import sweep
    from nonn.faults import laboratory

    command = ["nonn", "faults", "sweep", "--bundle", str(bundle.path), "--on", args.ground]
    command += ["--seed", str(args.seed), "--most", str(args.most)]
    return {
        **sweep.to_dict(cells),
        "sets": [asdict(one) for one in found],
        "ground": args.ground,
        "seed": args.seed,
        "folder": str(folder),
        **laboratory.facts(Path.cwd(), bundle, shlex.join(command)),
    }


def _save(
    folder: Path,
    bundle: "Bundle",
    found: "list[Found]",
    cells: "list[SweepCell]",
    args: argparse.Namespace,
) -> None:
    from device_node.state import write_atomically
    from fault_lab.report import sweep

    result = _as_json(folder, bundle, found, cells, args)
    write_atomically(folder / "sweep.json", json.dumps(result, indent=1).encode())
    sweep.plot(cells, folder / "sweep.svg")


def _show(cells: "list[SweepCell]", folder: Path) -> None:
    from rich.console import Console

    from fault_lab.report import sweep

    Console(highlight=False).print(sweep.table(cells))
    print(f"saved {folder}/sweep.json and {folder}/sweep.svg")


def _check(found: "list[Found]", folder: Path) -> int:
    """Raises InvariantViolated when the cluster's answers are not those of the offline merge."""
    from nonn.errors import InvariantViolated

    # ONNX Runtime rounds differently for other batch sizes, which may turn one close call.
    wrong = [one for one in found if abs(one.observed - one.merged) * one.images > 1.5]
    if wrong:
        one = wrong[0]
        raise InvariantViolated(
            f"{len(wrong)} of {len(found)} sets were not answered as by the offline merge, the first with "
            f"devices {list(one.lost)} lost: {one.observed:.1%} instead of {one.merged:.1%}; see {folder}"
        )
    return 0
