"""`nonn quantize`: int8 twins of a bundle's students."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundle import Bundle
    from student_builder import Quantization

HELP = "give a bundle's students int8 twins, where accuracy allows"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Make an int8 twin of every student (static quantisation, calibrated on training images), measure "
        "the accuracy of every subset of students with all twins in int8 on the validation images, and put "
        "the twins into the bundle beside the fp32 students. A student whose twin costs too much stays "
        "without. The fp32 students, their accuracies and their self-test stay as they are."
    )
    parser.epilog = "example: nonn quantize samples/cifar100 --data npz:cifar100.npz --output cifar100-int8"
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="what the bundle was built from: digits, npz:PATH, folder:PATH or torchvision:NAME "
        "(default: the bundle's own, if no path)",
    )
    parser.add_argument(
        "--max-drop",
        type=_points,
        metavar="POINTS",
        help="how much accuracy int8 may cost: mean over all subsets with as many students lost, for every "
        "such number, and twice that for any one subset (default: 0.5)",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="write there (default: replace BUNDLE)")
    parser.add_argument("--remove", action="store_true", help="take the twins out again, and make none")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if not 0 <= points <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of points from 0 to 100")
    return points


def run(args: argparse.Namespace) -> int:
    from bundle import Bundle, check_target

    bundle = Bundle.load(args.bundle)
    check_target(args.output or bundle.path)
    return _remove(bundle, args) if args.remove else _quantize(bundle, args)


def _remove(bundle: "Bundle", args: argparse.Namespace) -> int:
    from bundle import write_twins

    written = write_twins(bundle, None, args.output)
    removed = list(bundle.manifest.twins)
    if args.json:
        print(json.dumps({"removed": removed, **_place(bundle, written)}))
    else:
        print(f"{len(removed)} int8 twins removed; {_tell(bundle, written)}")
    return 0


def _quantize(bundle: "Bundle", args: argparse.Namespace) -> int:
    from student_builder import AccuracyError, RichProgress, own_source, quantize
    from student_builder.quantization import MAX_DROP

    max_drop = MAX_DROP if args.max_drop is None else args.max_drop
    quantization = quantize(bundle, args.data or own_source(bundle), max_drop, RichProgress())
    if not args.json:
        _show(quantization)
    try:
        written = quantization.write(args.output)
    except AccuracyError:
        if args.json:
            print(json.dumps({**quantization.to_dict(), "written": None}))
        raise
    if args.json:
        print(json.dumps({**quantization.to_dict(), **_place(bundle, written)}))
    else:
        print(f"{len(quantization.kept)} of {len(quantization.models)} students have an int8 twin; ", end="")
        print(_tell(bundle, written))
    return 0


def _place(bundle: "Bundle", written: "Bundle") -> dict[str, object]:
    return {"written": str(written.path), "id": written.manifest.id, "changed": _changed(bundle, written)}


def _changed(bundle: "Bundle", written: "Bundle") -> bool:
    return (bundle.path, bundle.manifest.id) != (written.path, written.manifest.id)


def _tell(bundle: "Bundle", written: "Bundle") -> str:
    if not _changed(bundle, written):
        return f"{written.path} is as it was"
    return f"{written.path} is now bundle {written.manifest.id[:12]}"


def _show(quantization: "Quantization") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    facts = quantization.to_dict()
    images = facts["validation_images"]
    title = f"{facts['name']}, {images:,} validation images: accuracy in %, drop in points"
    columns = ("lost", "subsets", "mean fp32", "int8", "worst fp32", "int8", "mean drop", "largest drop")
    table = Table(*columns, title=title, box=SIMPLE_HEAD)
    for lost, row in facts["by_lost"].items():
        pairs = (row[precision][key] for key in ("mean", "worst") for precision in ("fp32", "int8"))
        values = (f"{100 * value:.2f}" for value in pairs)
        table.add_row(
            lost, str(row["subsets"]), *values, f"{row['mean_drop']:.2f}", f"{row['largest_drop']:.2f}"
        )
    students = Table("student", "fp32 kB", "int8 kB", "alone, fp32", "int8", "twin", box=SIMPLE_HEAD)
    for row in facts["students"]:
        sizes = (f"{row[key] / 1000:.0f}" for key in ("bytes", "int8_bytes"))
        alone = (f"{100 * row[key]:.2f}" for key in ("alone", "int8_alone"))
        students.add_row(str(row["student"]), *sizes, *alone, "kept" if row["kept"] else "left out")
    console = Console(highlight=False)
    for each in (table, students):
        for column in each.columns:
            column.justify = "right"
        console.print(each)
