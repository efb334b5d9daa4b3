"""`python -m benchmarks.accuracy.merging`: other ways of merging the students of rows that have been trained.

Judged on validation images with half of the students lost, mean over all subsets; what is fitted is fitted on
training images, for every subset anew.
"""

import argparse
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.cells import Cell, load_cells
from benchmarks.common import ROOT, Run
from bundle import Bundle
from bundle.merge import FILLS, RIDGE
from student_builder.onnx_export import run_students
from student_builder.progress import Silent
from student_builder.steps import obtain_teacher
from student_builder.workspace import Workspace

Array = NDArray[np.float32]
FITTED_ON = 10_000
LOST = 4
ROWS = ("nonn", "paper-4", "ours")


class Sample:
    """Partial logits [S, N, K] of a bundle's students, labels [N] and the teacher's logits [N, K]."""

    def __init__(self, workspace: Workspace, bundle: Bundle, split: str) -> None:
        pixels = workspace.validation if split == "validation" else workspace.train.first(FITTED_ON)
        models = [bundle.student_bytes(index) for index in range(bundle.merger.students)]
        self.partials = np.stack(list(run_students(models, pixels.images)))
        self.labels = pixels.labels
        teacher = obtain_teacher(workspace, Silent())
        self.teacher = np.concatenate([teacher(images)[1].numpy() for images, _ in pixels.batches(250)])

    def of(self, members: tuple[int, ...]) -> Array:
        """Side by side, [N, n K]."""
        return np.concatenate([self.partials[member] for member in members], axis=1)


Merge = Callable[[tuple[int, ...]], Array]


def by_fill(bundle: Bundle, fill: Any, judged: Sample) -> Merge:
    merger = bundle.merger.with_fill(fill)
    return lambda members: merger.merge({member: judged.partials[member] for member in members})


def ridge_to(goal: Array, fitted: Sample, judged: Sample) -> Merge:
    """Linear regression of `goal` [N, K] on the survivors' partial logits."""

    def merge(members: tuple[int, ...]) -> Array:
        known, asked = fitted.of(members).astype(np.float64), judged.of(members)
        mean, centre = known.mean(0), goal.mean(0)
        known -= mean
        within = known.T @ known / len(known)
        within[np.diag_indices(len(within))] += RIDGE * within.trace() / len(within)
        weights = np.linalg.solve(within, known.T @ (goal - centre) / len(known))
        return np.asarray(centre + (asked - mean) @ weights, np.float32)

    return merge


def by_confidence(bundle: Bundle, judged: Sample) -> Merge:
    """Of replicas of the whole: their softmaxes' mean, weighted by the inverse of each one's entropy."""
    bias = bundle.merger.bias

    def merge(members: tuple[int, ...]) -> Array:
        total = np.zeros_like(judged.partials[0])
        for member in members:
            logits = judged.partials[member] + bias
            shares = np.exp(logits - logits.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            entropy = -(shares * np.log(shares + 1e-9)).sum(1, keepdims=True)
            total += shares / (entropy + 0.1)
        return np.asarray(total)

    return merge


def by_logistic(fitted: Sample, judged: Sample, bias: Array, parts: tuple[int, ...]) -> Merge:
    """Multinomial logistic regression on the survivors' partial logits, from their ridge solution's scale."""
    import torch

    def merge(members: tuple[int, ...]) -> Array:
        known, labels = torch.from_numpy(fitted.of(members)), torch.from_numpy(fitted.labels)
        classes = len(bias)
        start = torch.cat([torch.eye(classes) * len(set(parts)) / len(members)] * len(members))
        weights = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([weights], max_iter=30)

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            logits = known @ weights + torch.from_numpy(bias)
            value = (
                torch.nn.functional.cross_entropy(logits, labels) + 1e-3 * (weights - start).square().sum()
            )
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        return np.asarray(judged.of(members) @ weights.detach().numpy() + bias)

    return merge


def ways(bundle: Bundle, fitted: Sample, judged: Sample) -> dict[str, Merge]:
    merger = bundle.merger
    found: dict[str, Merge] = {fill: by_fill(bundle, fill, judged) for fill in FILLS}
    labels = np.eye(merger.classes, dtype=np.float32)[fitted.labels]
    found["ridge to the teacher's logits, student by student"] = ridge_to(fitted.teacher, fitted, judged)
    found["ridge to the labels"] = ridge_to(labels, fitted, judged)
    found["logistic regression"] = by_logistic(fitted, judged, merger.bias, merger.student_parts)
    if merger.parts == 1:
        found["softmaxes weighted by how sure each student is"] = by_confidence(bundle, judged)
    return found


def measure(cell: Cell, work: Path) -> dict[str, Any]:
    """Accuracy 0..1 of each way, of one row's students of its first seed."""
    folder = work / cell.kind / f"{cell.name}-0"
    workspace = Workspace(cell.experiment(0), folder, work / "shared")
    bundle = Bundle.load(folder / "bundle")
    fitted, judged = (Sample(workspace, bundle, split) for split in ("train", "validation"))
    subsets = list(combinations(range(bundle.merger.students), bundle.merger.students - LOST))
    found = {}
    for name, merge in ways(bundle, fitted, judged).items():
        right = [float((merge(members).argmax(1) == judged.labels).mean()) for members in subsets]
        found[name] = float(np.mean(right))
        print(f"{cell.name:10} {name:50} {100 * found[name]:.2f}", flush=True)
    return {"label": cell.label, "subsets": len(subsets), "ways": found}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.merging", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="default: %(default)s")
    arguments = parser.parse_args()
    cells, run = load_cells("cells"), Run()
    rows = {name: measure(cells[name], arguments.work) for name in ROWS}
    print(f"-> {run.save('accuracy-merging', {'lost': LOST, 'fitted_on': FITTED_ON, 'rows': rows})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
