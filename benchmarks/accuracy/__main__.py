"""Train and judge what is missing, then write the table. Whatever is done is not done again.

Each row and seed is a build of its own below --work, resumable to the step; they share the filter graph, the
teacher's views and the trunk. A row's test accuracies are taken once, when it is trained; ideas are judged
on validation images alone.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy.cells import Cell, common_workspace, load_cells
from benchmarks.accuracy.measure import costs, held_back, judge
from benchmarks.accuracy.table import claim, idea_row, markdown, plot, row
from benchmarks.common import ROOT, Run
from student_builder.data import load_data
from student_builder.files import read_json, write_json
from student_builder.pipeline import build
from student_builder.progress import RichProgress
from student_builder.steps import obtain_teacher, teacher_accuracy
from student_builder.training import Pixels


def main() -> int:
    arguments = _arguments()
    cells, ideas = load_cells("cells"), load_cells("ideas")
    chosen = [*cells.values(), *(ideas.values() if arguments.ideas else ())]
    if arguments.only:
        chosen = [cell for cell in chosen if cell.name in arguments.only]
    # The first seed of every row before the second of any: a run that is stopped leaves the most rows.
    works = sorted(
        (position, number, cell, seed)
        for number, cell in enumerate(chosen)
        for position, seed in enumerate(cell.seeds)
    )
    for _, _, cell, seed in works if not arguments.summary else ():
        print(_line(cell, seed, run(cell, seed, arguments.work)), flush=True)
    figures = summary(cells, ideas, arguments.work)
    path = Run().save("accuracy", figures)
    plot(figures, ROOT / "docs" / "images" / "accuracy.svg")
    print(*markdown(figures), f"-> {path}", sep="\n")
    return 0


def summary(cells: Mapping[str, Cell], ideas: Mapping[str, Cell], work: Path) -> dict[str, Any]:
    """The table of all that has been trained so far, and how much that is of all."""
    found = {name: _results(cell, work) for name, cell in cells.items()}
    tried = {name: _results(cell, work) for name, cell in ideas.items()}
    rows = {name: row(cells[name], results) for name, results in found.items() if results}
    wanted = sum(len(cell.seeds) for cell in (*cells.values(), *ideas.values()))
    before = _before(work)
    done = [result for results in (*found.values(), *tried.values()) for result in results.values()]
    return {
        "state": {"trained": len(done), "of": wanted, **_circumstances(done)},
        "wall_seconds": round(before["trunk_seconds"]) + sum(result["seconds"] for result in done),
        **before,
        "rows": rows,
        "claim": claim(rows),
        "ideas": dict(_ideas(ideas, found | tried)),
    }


def _circumstances(done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The commits that trained, and the least and the most that others took of the processors meanwhile."""
    machines = [result["machine"] for result in done]
    others = [machine["others"] for machine in machines] or [0.0]
    return {
        "commits": sorted({machine["commit"] for machine in machines}),
        "others": [min(others), max(others)],
    }


def _ideas(
    ideas: Mapping[str, Cell], found: Mapping[str, dict[int, dict[str, Any]]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those that have been tried, and what they are compared to as well."""
    for name, idea in ideas.items():
        result, against = found[name].get(0), found[idea.against or name].get(0)
        if result is not None and against is not None:
            yield name, idea_row(idea, result, against)


def _results(cell: Cell, work: Path) -> dict[int, dict[str, Any]]:
    """By seed, of what the present cells.toml says."""
    found = {seed: read_json(_folder(cell, seed, work) / "result.json") for seed in cell.seeds}
    return {
        seed: result
        for seed, result in found.items()
        if result is not None and result["experiment"] == {"seed": seed, **cell.tables}
    }


def _folder(cell: Cell, seed: int, work: Path) -> Path:
    return work / cell.kind / f"{cell.name}-{seed}"


def _before(work: Path) -> dict[str, Any]:
    """What rows have in common: the teacher's accuracies, measured here, and the trunk's seconds.

    Measured once, but not kept before there is a trunk.
    """
    path = work / "before.json"
    found = read_json(path)
    if found is None:
        workspace = common_workspace(work)
        teacher = obtain_teacher(workspace, RichProgress())
        data = workspace.dataset
        test = Pixels(data.test_images, data.test_labels, *workspace.normalisation)
        found = {
            "teacher": {
                "validation": teacher_accuracy(teacher, workspace.validation),
                "test": teacher_accuracy(teacher, test),
            },
            "trunk_seconds": 0.0,
        }
        if (trunk := read_json(workspace.trunk.report)) is not None:
            found["trunk_seconds"] = trunk["seconds"]
            write_json(path, found)
    return found


def run(cell: Cell, seed: int, work: Path) -> dict[str, Any]:
    """The figures of one row and seed, trained now or earlier."""
    folder = _folder(cell, seed, work)
    path = folder / "result.json"
    experiment = cell.experiment(seed)
    wanted = {"seed": seed, **cell.tables}
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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="default: %(default)s")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these rows or ideas alone")
    parser.add_argument("--summary", action="store_true", help="train nothing, sum up what is there")
    parser.add_argument("--ideas", action="store_true", help="the ideas as well as the rows")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
