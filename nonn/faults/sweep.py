"""`nonn faults sweep`: every k of n devices lost, live, against the accuracies that the bundle foretells."""

import argparse
import json
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

    laboratory.end_in_order()
    bundle = Bundle.load(args.bundle or laboratory.sample())
    devices = args.devices or len(bundle.manifest.students)
    if devices > len(bundle.manifest.students):
        raise UsageError(f"--devices: the bundle has {len(bundle.manifest.students)} students")
    found, folder = _measure(args, bundle, devices)
    cells = _cells(found, devices)
    return _tell(args, bundle, found, cells, folder)
