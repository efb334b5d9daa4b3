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

from benchmarks.accuracy.cells import common_workspace
from benchmarks.accuracy.measure import judge_partials
from benchmarks.common import ROOT, Run
from bundle.merge import FILLS
from partitioner import METHODS, WEIGHTS, FilterGraph, GraphAccumulator, Partition, Weight, partition, report
from student_builder.bundling import fit_merger
from student_builder.distillation import part_columns
from student_builder.progress import Silent
from student_builder.steps import obtain_teacher
from student_builder.teacher import Teacher
from student_builder.training import Pixels

FITTED_ON = 10_000
PARTS = (4, 8)

Features = NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.partitions", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="default: %(default)s")
    arguments = parser.parse_args()
    run = Run()
    workspace = common_workspace(arguments.work)
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
    members = range(len(split.parts))
    judged = judge_partials(fit_merger(members, teacher.bias.numpy(), fitted, "ridge"), partials, labels)
    half = str(len(members) // 2)
    return {
        "full": judged["zero"]["0"]["mean"],
        "half": {
            fill: {key: by_lost[half][key] for key in ("mean", "worst")} for fill, by_lost in judged.items()
        },
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
