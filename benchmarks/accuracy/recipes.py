"""`python -m benchmarks.accuracy.recipes`: single networks that imitate the whole teacher for five epochs.

One thing is changed at a time; the recipe that comes out best trains the trunk of the table. Judged on
validation images. Each variant and seed is done once and kept below --work; as many train at a time as there
are cores.
"""

import argparse
import copy
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.accuracy.cells import common_workspace, load_cells
from benchmarks.common import ROOT, Run
from partitioner import Partition
from student_builder.distillation import (
    Lesson,
    build_ensemble,
    ensemble_accuracy,
    imitation_loss,
    make_targets,
)
from student_builder.experiment import StudentsSection
from student_builder.files import read_json, write_json
from student_builder.precision import autocast
from student_builder.progress import Silent
from student_builder.steps import obtain_teacher
from student_builder.training import Batch, Trainer
from student_builder.views import prepare_views

SHORT = {"count": 1, "epochs": 5, "small_epochs": 3}
BASE = "base"
BASE_SEEDS = 2


@dataclass(frozen=True)
class Variant:
    """What is changed of the recipe of [base.trunk] in cells.toml, shortened."""

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    loss: str = "kd"
    average: float | None = None
    kept: bool = False


VARIANTS = {
    BASE: Variant("the recipe of the table: temperature 1.5, peak rate 0.3, batches of 128", kept=True),
    "temperature-4": Variant("temperature 4, as NoNN", {"temperature": 4.0}),
    "temperature-1": Variant("temperature 1", {"temperature": 1.0}),
    "labels": Variant("labels alone, no teacher", {"distillation": 0.0, "cross_entropy": 1.0}),
    "mse": Variant("mean squared error of logits instead of a divergence", loss="mse"),
    "dkd-2": Variant("decoupled distillation (DKD), beta 2", loss="dkd-2"),
    "ema": Variant("moving average of weights (EMA 0.998)", average=0.998),
    "decay-2e-4": Variant("weight decay 2e-4 instead of 5e-4", {"weight_decay": 2e-4}),
    "whole-images": Variant("no small images", {"small_epochs": 0}),
    "wrn-16-1": Variant("the residual network WRN-16-1 instead of `compact`", {"architecture": "wrn-16-1"}),
}


def main() -> int:
    arguments = _arguments()
    works = [(name, seed) for name in VARIANTS for seed in range(BASE_SEEDS if name == BASE else 1)]
    run = Run()
    cores = torch.get_num_threads()
    prepare(arguments.work)  # so that no two processes do
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(obtain, name, seed, arguments.work): (name, seed) for name, seed in works}
        for future in as_completed(futures):
            name, seed = futures[future]
            print(f"{name} {seed}: {100 * future.result()['accuracy']:.1f} %", flush=True)
    found = {work: obtain(*work, arguments.work) for work in works}
    base = [found[work]["accuracy"] for work in works if work[0] == BASE]
    figures = {
        "steps": SHORT,
        "deviation_over_seeds": statistics.stdev(base),
        "variants": {name: _row(name, found) for name in VARIANTS},
    }
    print(f"-> {run.save('accuracy-recipes', figures)}")
    return 0


def _row(name: str, found: Mapping[tuple[str, int], Mapping[str, float]]) -> dict[str, Any]:
    """Of seed 0; of every seed for the recipe itself."""
    results = [result for (one, _), result in found.items() if one == name]
    return {
        "label": VARIANTS[name].label,
        "kept": VARIANTS[name].kept,
        "seeds": len(results),
        "accuracy": statistics.fmean(result["accuracy"] for result in results),
        "seconds": statistics.fmean(result["seconds"] for result in results),
    }


def prepare(work: Path) -> None:
    """Have the teacher judged and its views made."""
    workspace = common_workspace(work)
    section = _section(VARIANTS[BASE])
    teacher = obtain_teacher(workspace, Silent())
    prepare_views(teacher, workspace.train, section, section.views, workspace.views(section), Silent())


def obtain(name: str, seed: int, work: Path) -> dict[str, Any]:
    """Accuracy 0..1 on validation images and seconds of training, measured now or earlier."""
    path, variant = work / "recipes" / f"{name}-{seed}.json", VARIANTS[name]
    section = _section(variant)
    schedule = section.model_dump(mode="json")
    wanted = {"seed": seed, "loss": variant.loss, "average": variant.average, **schedule}
    found = read_json(path)
    if found is None or found["recipe"] != wanted:
        found = {"recipe": wanted, **_train(variant, section, seed, work)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
    return found


def _section(variant: Variant) -> StudentsSection:
    experiment = load_cells("cells")["whole"].experiment(0)
    assert experiment.trunk is not None
    shape = {"architecture": experiment.students.architecture, "head": "linear"}
    recipe = experiment.trunk.model_dump(exclude={"seed"}) | SHORT | shape
    return StudentsSection(**(recipe | dict(variant.changes)))


def _train(variant: Variant, section: StudentsSection, seed: int, work: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    workspace = common_workspace(work)
    teacher = obtain_teacher(workspace, Silent())
    whole = Partition("random", (tuple(range(teacher.filters)),))
    network = build_ensemble(section, teacher, whole, 3, nonnegative=True, seed=seed)
    average = None if variant.average is None else copy.deepcopy(network)

    def step(batch: Batch, _: torch.Generator) -> float:
        if average is not None:  # of the weights that the step before left
            _follow(average, network, variant.average or 0.0)
        assert batch.pooled is not None
        lesson = Lesson(batch.images, batch.labels, make_targets(teacher, whole, batch.pooled))
        with autocast():
            logits = network(batch.images)
        loss = LOSSES[variant.loss](section, logits.float(), lesson)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    source = prepare_views(
        teacher, workspace.train, section, section.views, workspace.views(section), Silent()
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            network,
            section,
            workspace.train,
            seed=seed,
            state_file=Path(folder) / "state",
            fingerprint="",
            source=source,
        )
        report = trainer.run(
            "recipe", step, lambda: ensemble_accuracy(average or network, workspace.validation), Silent()
        )
    return {"accuracy": report["history"][-1]["validation_accuracy"], "seconds": report["seconds"]}


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - keep)


def _mean_squares(section: StudentsSection, logits: Tensor, lesson: Lesson) -> Tensor:
    """Of centred logits, since a softmax does not see what is common to all of them; + cross-entropy."""
    difference = logits - lesson.targets.logits
    squares = (difference - difference.mean(1, keepdim=True)).square().mean()
    labels = functional.cross_entropy(logits, lesson.labels)
    return section.distillation * squares + section.cross_entropy * labels


def _decoupled(beta: float) -> Callable[[StudentsSection, Tensor, Lesson], Tensor]:
    """DKD: the target class and the others each by a divergence of their own (arXiv 2203.08402, 3.2)."""

    def loss(section: StudentsSection, logits: Tensor, lesson: Lesson) -> Tensor:
        temperature, targets = section.temperature, lesson.targets.logits
        label = functional.one_hot(lesson.labels, logits.shape[1]).bool()

        def divided(z: Tensor) -> tuple[Tensor, Tensor]:
            """log p of (target, all others), [N, 2]; log p among the others, [N, K - 1]."""
            shares = functional.log_softmax(z / temperature, 1)
            others = shares[~label].view(len(z), -1)
            both = torch.stack([shares[label], others.logsumexp(1)], 1)
            return both, functional.log_softmax(others, 1)

        def divergence(student: Tensor, teacher: Tensor) -> Tensor:
            return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)

        (own, own_others), (known, known_others) = divided(logits), divided(targets)
        both = divergence(own, known) + beta * divergence(own_others, known_others)
        labels = functional.cross_entropy(logits, lesson.labels)
        return section.distillation * temperature**2 * both + section.cross_entropy * labels

    return loss


LOSSES: dict[str, Callable[[StudentsSection, Tensor, Lesson], Tensor]] = {
    "kd": imitation_loss,
    "mse": _mean_squares,
    "dkd-2": _decoupled(2.0),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.recipes", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="default: %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
