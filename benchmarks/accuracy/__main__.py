"""Train and judge what is missing, then write the table. Whatever is done is not done again.

Each row and seed is a build of its own below --work, resumable to the step; they share the filter graph, the
teacher's views and the trunk. A row's test accuracies are taken once, when it is trained; ideas are judged
on validation images alone.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.accuracy.cells import Cell, Kind, load_cells
from benchmarks.accuracy.measure import costs, held_back, judge
from benchmarks.common import ROOT, Run
from student_builder.data import load_data
from student_builder.files import read_json, write_json
from student_builder.pipeline import build
from student_builder.progress import RichProgress


def main() -> int:
    arguments = _arguments()
    chosen = [cell for kind in _kinds(arguments.ideas) for cell in load_cells(kind).values()]
    if arguments.only:
        chosen = [cell for cell in chosen if cell.name in arguments.only]
    # The first seed of every row before the second of any: a run that is stopped leaves the most rows.
    works = sorted(
        (position, number, cell, seed)
        for number, cell in enumerate(chosen)
        for position, seed in enumerate(cell.seeds)
    )
    for _, _, cell, seed in works:
        result = run(cell, seed, arguments.work)
        print(_line(cell, seed, result), flush=True)
    return 0


def run(cell: Cell, seed: int, work: Path) -> dict[str, Any]:
    """The figures of one row and seed, trained now or earlier."""
    folder = work / cell.kind / f"{cell.name}-{seed}"
    path = folder / "result.json"
    experiment = cell.experiment(seed)
    wanted = json.loads(experiment.model_dump_json(exclude={"name"}))
    found = read_json(path)
    if found is not None and found.get("experiment") == wanted:
        return found
    started, machine = time.monotonic(), Run()
    bundle = build(experiment, folder, progress=RichProgress(), shared=work / "shared")
    seconds = time.monotonic() - started
    data = load_data(experiment.data.source, experiment.base)
    section = experiment.data
    assert section.validation is not None
    figures: dict[str, Any] = {
        "validation": judge(bundle, *held_back(data, section.validation, section.validation_seed))
    }
    if cell.kind == "cells":
        figures["test"] = judge(bundle, data.test_images, data.test_labels)
    result = {
        "experiment": wanted,
        "seconds": round(seconds),
        "training_seconds": _training_seconds(folder),
        "machine": machine.machine(),
        **costs(bundle),
        **figures,
    }
    write_json(path, result)
    return result


def _training_seconds(folder: Path) -> float:
    report = read_json(folder / "students" / "report.json") or {}
    return float(report.get("seconds", 0.0))


def _line(cell: Cell, seed: int, result: dict[str, Any]) -> str:
    split = "test" if "test" in result else "validation"
    shown = []
    for fill in ("zero", "mean", "ridge"):
        by_lost = result[split][fill]
        shown.append(
            f"{fill} " + " ".join(f"{100 * by_lost[str(lost)]['mean']:.1f}" for lost in (0, 2, 4, 6, 7))
        )
    return f"{cell.name} {seed} {split}: " + "; ".join(shown)


def _kinds(ideas: bool) -> tuple[Kind, ...]:
    return ("cells", "ideas") if ideas else ("cells",)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="default: %(default)s")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these rows or ideas alone")
    parser.add_argument("--ideas", action="store_true", help="the ideas as well as the rows")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
