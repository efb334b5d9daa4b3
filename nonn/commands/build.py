"""`nonn build`: a whole experiment, from teacher to bundle."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundle import Bundle
    from student_builder import Experiment

HELP = "build a bundle from a teacher and data, as one experiment file says"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run every step of an experiment that is not done yet: teacher, partition, students, bundle. "
        "A build that was stopped goes on where it was."
    )
    parser.epilog = "example: nonn build experiments/digits.toml"
    add_experiment(parser)
    add_output(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object about the bundle")


def run(args: argparse.Namespace) -> int:
    from student_builder import RichProgress, build

    bundle = build(read(args), args.work, args.output, RichProgress())
    show_bundle(bundle, args.json)
    return 0


def add_experiment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml", help="the experiment file")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="where the steps leave files (default: runs/NAME)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="instead of the experiment's seed")


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="the bundle's folder (default: WORK/bundle)"
    )


def read(args: argparse.Namespace) -> "Experiment":
    """The experiment that the arguments name, with what they change in it."""
    from student_builder import load_experiment

    return load_experiment(args.experiment, args.seed)


def show_bundle(bundle: "Bundle", as_json: bool) -> None:
    manifest = bundle.manifest
    size = sum(entry.bytes for entry in manifest.files.values())
    students = len(manifest.students)
    if as_json:
        facts = {
            "bundle": manifest.id,
            "path": str(bundle.path),
            "bytes": size,
            "students": students,
            "parts": manifest.parts,
            "fill": manifest.fill,
            "teacher_accuracy": manifest.teacher_accuracy,
            "expected_accuracy": bundle.expected_accuracy(range(students)),
            "expected_by_lost": {str(s.lost): s.mean for s in bundle.by_lost()},
        }
        print(json.dumps(facts, indent=2))
        return
    print(
        f"{bundle.path}: {students} students on {manifest.parts} parts, {size / 1000:,.0f} kB, "
        f"id {manifest.id[:12]}"
    )
    teacher = "" if manifest.teacher_accuracy is None else f"teacher {manifest.teacher_accuracy:.1%}, "
    means = ", ".join(f"{summary.lost} lost {summary.mean:.1%}" for summary in bundle.by_lost())
    print(f"on {manifest.validation_images} validation images: {teacher}{means}")
