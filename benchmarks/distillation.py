"""Images a second that distillation trains on, against the bare forward and backward passes it consists of.

bound: the teacher's forward pass on every core, and all students' forward and backward passes, one student a
core at a time, on one batch that is there already: no data, no augmentation, no loss between logits, no
optimizer. ours: the real training loop, asking the teacher for every batch, and on views that it has seen.
All of them are measured in turns in one run; the ratio is ours / bound.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy.cells import load_cells
from benchmarks.common import Run, shown, spread
from partitioner import Partition
from student_builder.distillation import Ensemble, build_ensemble, distillation_step
from student_builder.experiment import StudentsSection
from student_builder.precision import autocast
from student_builder.progress import Silent
from student_builder.steps import obtain_teacher
from student_builder.teacher import Teacher
from student_builder.training import Pixels, Source, Trainer
from student_builder.views import prepare_views
from student_builder.workspace import Workspace

PARTS = 4


@dataclass(frozen=True)
class Setting:
    """What is trained, and on which images."""

    section: StudentsSection
    teacher: Teacher
    partition: Partition
    pixels: Pixels

    def ensemble(self) -> Ensemble:
        return build_ensemble(self.section, self.teacher, self.partition, 3, True, 0)


def bare_seconds(setting: Setting, steps: int, with_teacher: bool) -> float:
    """Of so many bare steps."""
    ensemble = setting.ensemble().train()
    images, _ = setting.pixels.batch(slice(0, setting.section.batch_size))
    cores = ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,))

    def pass_through(index: int) -> None:
        student = ensemble.student(index)
        with autocast():
            logits = student.partial_logits(student(images))
        logits.float().square().mean().backward()  # type: ignore[no-untyped-call]

    def step() -> None:
        if with_teacher:
            setting.teacher(images)
        list(cores.map(pass_through, range(setting.section.count)))

    def run() -> None:
        for _ in range(steps):
            step()

    with cores:
        step()
        return _seconds(run)


def our_seconds(setting: Setting, steps: int, source: Source | None, folder: Path) -> float:
    """Of the real training loop, for so many steps."""
    ensemble, section = setting.ensemble(), setting.section
    pixels = setting.pixels.first(steps * section.batch_size)
    state = folder / "state.safetensors"
    state.unlink(missing_ok=True)
    trainer = Trainer(ensemble, section, pixels, seed=0, state_file=state, fingerprint="", source=source)
    with distillation_step(section, ensemble, setting.teacher, setting.partition) as step:
        return _seconds(lambda: trainer.run("distil", step, lambda: 0.0, Silent()))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def prepare(folder: Path, steps: int, architecture: str | None) -> Setting:
    """The accuracy table's students on four parts; whole images, for one epoch of so many steps."""
    experiment = load_cells("cells")["paper-4"].experiment(0)
    changes: dict[str, Any] = {"epochs": 1, "small_epochs": 0, "views": 1}
    if architecture is not None:
        changes["architecture"] = architecture
    section = experiment.students.model_copy(update=changes)
    workspace = Workspace(experiment, folder)
    teacher = obtain_teacher(workspace, Silent())
    width = teacher.filters // PARTS
    parts = tuple(tuple(range(part * width, (part + 1) * width)) for part in range(PARTS))
    pixels = workspace.train.first(steps * section.batch_size)
    return Setting(section, teacher, Partition("random", parts), pixels)


def measure(setting: Setting, rounds: int, steps: int, folder: Path) -> dict[str, Any]:
    views = prepare_views(setting.teacher, setting.pixels, setting.section, 1, folder / "views", Silent())
    images = steps * setting.section.batch_size
    rates: dict[str, list[float]] = {name: [] for name in ("bound", "ours", "bound_views", "ours_views")}
    for _ in range(rounds):
        rates["bound"].append(images / bare_seconds(setting, steps, with_teacher=True))
        rates["ours"].append(images / our_seconds(setting, steps, None, folder))
        rates["bound_views"].append(images / bare_seconds(setting, steps, with_teacher=False))
        rates["ours_views"].append(images / our_seconds(setting, steps, views, folder))
    return {
        "architecture": setting.section.architecture,
        "students": setting.section.count,
        "batch_size": setting.section.batch_size,
        "steps_a_round": steps,
        **{f"{name}_images_s": spread(values, 1) for name, values in rates.items()},
        "ratio": spread([a / b for a, b in zip(rates["ours"], rates["bound"], strict=True)]),
        "ratio_views": spread(
            [a / b for a, b in zip(rates["ours_views"], rates["bound_views"], strict=True)]
        ),
        "views_to_asking": spread([a / b for a, b in zip(rates["ours_views"], rates["ours"], strict=True)]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distillation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="a round (default: %(default)s)")
    parser.add_argument("--architecture", help="another than the accuracy table's")
    parser.add_argument("--save", metavar="NAME")
    arguments = parser.parse_args()
    run = Run()
    with tempfile.TemporaryDirectory(prefix="nonn-distillation-") as temporary:
        folder = Path(temporary)
        setting = prepare(folder, arguments.steps, arguments.architecture)
        figures = measure(setting, arguments.rounds, arguments.steps, folder)
    for name, value in figures.items():
        print(f"{name:22} {shown(value) if isinstance(value, dict) else value}")
    if arguments.save:
        print(run.save(arguments.save, figures))


if __name__ == "__main__":
    main()
