"""`python -m benchmarks.accuracy.partitions`: how the teacher's filters are split, without any students.

Each part answers with the teacher's own partial logits, so what is lost is lost by the partition and the
fill alone. Judged on validation images with half of the parts lost, over every subset; moments and graphs are
of training images. Takes a minute or two.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.cells import load_cells
from benchmarks.common import ROOT, Run
from bundle import Merger, accuracy_by_lost, subset_accuracy
from bundle.merge import FILLS
from partitioner import METHODS, WEIGHTS, FilterGraph, GraphAccumulator, Partition, Weight, partition, report
from student_builder.distillation import part_columns
from student_builder.progress import Silent
from student_builder.steps import obtain_teacher
from student_builder.teacher import Teacher
from student_builder.training import Pixels
from student_builder.workspace import Workspace

FITTED_ON = 10_000
PARTS = (4, 8)

Features = NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.partitions", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="default: %(default)s")
    arguments = parser.parse_args()
    run = Run()
    workspace = Workspace(
        load_cells("cells")["whole"].experiment(0), arguments.work / "teacher", arguments.work / "shared"
    )
    teacher = obtain_teacher(workspace, Silent())
    known = _features(teacher, workspace.train.first(FITTED_ON))
    asked, labels = _features(teacher, workspace.validation), workspace.validation.labels
    rows = []
    for row in _rows(teacher, known, asked, labels):
        rows.append(row)
        half = " ".join(f"{100 * row['half'][fill]['mean']:5.1f}" for fill in FILLS)
        print(f"{row['parts']} {row['method']:12} {row['weights']:15} {half}", flush=True)
    print(f"-> {run.save('accuracy-partitions', {'seed': 0, 'fitted_on': FITTED_ON, 'rows': rows})}")
    return 0


def _rows(
    teacher: Teacher, known: Features, asked: Features, labels: NDArray[np.int64]
) -> Iterator[dict[str, Any]]:
    graphs = {weight: _graph(known, weight) for weight in WEIGHTS}
    for parts in PARTS:
        for method in METHODS:
            for weight in WEIGHTS if method != "random" else WEIGHTS[:1]:
                split = partition(graphs[weight], method, parts=parts, seed=0)
                judged = _judge(teacher, split, known, asked, labels)
                facts = {"parts": parts, "method": method, "weights": weight if method != "random" else ""}
                yield {**facts, "sizes": split.sizes, "cut": report(graphs[weight], split).cut, **judged}


def _graph(known: Features, weight: Weight) -> FilterGraph:
    accumulator = GraphAccumulator(known.shape[1], weight)
    accumulator.add(known)
    return accumulator.graph()


def _judge(
    teacher: Teacher, split: Partition, known: Features, asked: Features, labels: NDArray[np.int64]
) -> dict[str, Any]:
    """Accuracies 0..1 with all parts, and with half of them lost by what stands in for those."""
    fitted, partials = (_partials(teacher, split, features) for features in (known, asked))
    means = fitted.mean(1, dtype=np.float64)
    stacked = fitted.transpose(1, 0, 2).reshape(len(known), -1) - means.reshape(-1)
    covariance = stacked.T @ stacked / len(known)
    members = range(len(split.parts))
    merger = Merger(members, teacher.bias.numpy(), means, "ridge", covariance)
    found = {}
    for fill in FILLS:
        by_lost = accuracy_by_lost(subset_accuracy(merger.with_fill(fill), partials, labels))
        found[fill] = {summary.lost: summary for summary in by_lost}
    half = len(members) // 2
    return {
        "full": found["zero"][0].mean,
        "half": {fill: {"mean": lost[half].mean, "worst": lost[half].worst} for fill, lost in found.items()},
    }


def _partials(teacher: Teacher, split: Partition, features: Features) -> Features:
    """The teacher's own partial logits, [M, N, classes]."""
    columns = (column.numpy() for column in part_columns(teacher, split))
    return np.stack([features[:, part] @ column.T for part, column in zip(split.parts, columns, strict=True)])


def _features(teacher: Teacher, pixels: Pixels) -> Features:
    """Pooled, [N, filters]."""
    return np.concatenate([teacher(images)[0].numpy() for images, _ in pixels.batches(250)])


if __name__ == "__main__":
    sys.exit(main())
