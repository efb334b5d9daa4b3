"""`nonn evaluate`: the accuracy of every subset of a bundle's students."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from student_builder import Evaluation

HELP = "measure the accuracy of every subset of a bundle's students"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run a bundle's students on data, merge every subset of them, and tell mean, worst and best accuracy "
        "by the number of students lost. Saves all subsets as JSON and a plot beside it."
    )
    parser.epilog = "example: nonn evaluate samples/cifar100 --data npz:cifar100.npz"
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="digits, npz:PATH, folder:PATH or torchvision:NAME (default: the bundle's own, if no path)",
    )
    parser.add_argument(
        "--split", choices=("test", "validation", "train"), default="test", help="default: test"
    )
    parser.add_argument(
        "--fill",
        choices=("zero", "mean", "ridge"),
        help="what stands in for lost parts (default: the bundle's own rule)",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "int8"),
        default="fp32",
        help="int8: students answer by their int8 twins, where they have one; default: fp32",
    )
    parser.add_argument(
        "--output",
        type=_json_file,
        metavar="FILE.json",
        help="default: runs/NAME/evaluation-SPLIT[-FILL][-int8].json",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def _json_file(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".json":
        raise argparse.ArgumentTypeError(f"{text} must end in .json; the plot beside it ends in .png")
    return path


def run(args: argparse.Namespace) -> int:
    from bundle import Bundle
    from student_builder import RichProgress, evaluate, own_source, plot

    bundle = Bundle.load(args.bundle)
    source = args.data or own_source(bundle)
    evaluation = evaluate(bundle, source, args.split, RichProgress(), args.fill, args.precision)
    kinds = (args.split, args.fill, "int8" if args.precision == "int8" else None)
    kind = "-".join(name for name in kinds if name)
    output = args.output or Path("runs") / bundle.manifest.name / f"evaluation-{kind}.json"
    picture = output.with_suffix(".png")
    evaluation.save(output)
    plot(evaluation, picture)
    if args.json:
        print(json.dumps({**evaluation.to_dict(), "saved": [str(output), str(picture)]}))
    else:
        _show(evaluation)
        print(f"saved {output} and {picture}")
    return 0


def _show(evaluation: "Evaluation") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    name, fill = evaluation.bundle.manifest.name, evaluation.fill
    title = f"{name}, {evaluation.images:,} {evaluation.split} images, fill {fill}, {evaluation.precision}"
    table = Table("lost", "subsets", "mean", "worst", "best", title=title, box=SIMPLE_HEAD)
    for column in table.columns:
        column.justify = "right"
    for row in evaluation.by_lost:
        accuracies = (f"{100 * value:.2f} %" for value in (row.mean, row.worst, row.best))
        table.add_row(str(row.lost), str(row.subsets), *accuracies)
    Console(highlight=False).print(table)
