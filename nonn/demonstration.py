"""What `nonn demo` does: a build, a cluster of processes, and a stream of requests through its losses."""

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from bundle import Bundle
from fault_lab.local_cluster import LocalCluster, Status
from nonn.client import AsyncClient
from nonn.rehearsal import Rehearsal, Tally
from student_builder import Dataset, Experiment, Progress, RichProgress, Silent, build, load_experiment

EXPERIMENT: Final = Path(__file__).with_name("digits.toml")


@dataclass(frozen=True, slots=True)
class Victim:
    """A device that will be killed, and the students that are served by others once it is gone too."""

    index: int
    name: str
    survivors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """killed: the device that was lost, None before the first loss. expected: what the bundle predicted.

    accuracy: over the `images` that exactly `students` answered; None when there were none.
    """

    killed: str | None
    students: tuple[int, ...]
    accuracy: float | None
    expected: float
    images: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class Outcome:
    """images: held out from all training and choosing; all accuracies but the expected ones are on them."""

    devices: int
    parts: int
    images: int
    accuracy_teacher: float
    steps: tuple[Step, ...]

    @property
    def total(self) -> Tally:
        return sum((step.tally for step in self.steps), Tally())


def demonstrate(*, devices: int, kill: int, seed: int, keep: Path | None) -> Outcome:
    """Build, serve, stream and kill; bars on standard error. Ends its processes however it is left.

    Raises NonnError of the kind that says what is wrong.
    """
    progress = RichProgress()
    experiment = load_experiment(EXPERIMENT, seed)
    with tempfile.TemporaryDirectory(prefix="nonn-demo-") as name:
        folder = Path(name)
        bundle = build(experiment, folder / "build", keep, progress)
        data, accuracy_teacher = _test_the_teacher(experiment, folder / "build")
        with contextlib.ExitStack() as stack:
            with progress.task(f"start {devices} devices", devices) as task:
                cluster = LocalCluster(
                    bundle.path,
                    devices,
                    aggregator_options=["--heal-after", "never"],
                    announce=task.advance,
                )
                stack.enter_context(cluster)
            victims = choose_victims(cluster.status(), kill, seed)
            steps = asyncio.run(_rehearse(cluster, bundle, data, victims, progress))
    return Outcome(devices, bundle.manifest.parts, len(data.test_images), accuracy_teacher, tuple(steps))


def choose_victims(status: Status, kill: int, seed: int) -> tuple[Victim, ...]:
    """Seeded by what they serve, since which device got which student is a race."""
    serving = {device.name: frozenset(device.serving) for device in status.devices}
    order = sorted(serving, key=lambda name: (sorted(serving[name]), name))
    chosen = Random(seed).sample(order, kill)
    victims = []
    for position, name in enumerate(chosen):
        gone = chosen[: position + 1]
        left = frozenset[int]().union(*(serving[name] for name in order if name not in gone))
        victims.append(Victim(int(name.removeprefix("device-")), name, tuple(sorted(left))))
    return tuple(victims)


def _test_the_teacher(experiment: Experiment, folder: Path) -> tuple[Dataset, float]:
    """The data, and the accuracy of the teacher that the build left in `folder` on its test images."""
    from student_builder.steps import obtain_teacher, teacher_accuracy
    from student_builder.training import Pixels
    from student_builder.workspace import Workspace

    workspace = Workspace(experiment, folder)
    data = workspace.dataset
    pixels = Pixels(data.test_images, data.test_labels, *workspace.normalisation)
    return data, teacher_accuracy(obtain_teacher(workspace, Silent()), pixels)


async def _rehearse(
    cluster: LocalCluster, bundle: Bundle, data: Dataset, victims: Sequence[Victim], progress: Progress
) -> list[Step]:
    everyone = tuple(range(len(bundle.manifest.students)))
    images = len(data.test_images)
    async with (
        AsyncClient(cluster.address) as client,
        Rehearsal(client, data.test_images, data.test_labels) as rehearsal,
    ):
        with progress.task("all devices", images) as task:
            await rehearsal.stage(everyone, measured=task.advance)
        for victim in victims:
            with progress.task(f"{victim.name} killed", images) as task:
                kill = partial(asyncio.to_thread, cluster.kill, victim.index)
                await rehearsal.stage(victim.survivors, before=kill, measured=task.advance)
    # Only now have the last requests ended, so only now are the tallies final.
    names = [None, *(victim.name for victim in victims)]
    return [
        Step(
            killed,
            stage.students,
            stage.accuracy,
            bundle.expected_accuracy(stage.students),
            len(stage.right),
            stage.tally,
        )
        for killed, stage in zip(names, rehearsal.stages, strict=True)
    ]
