"""One training loop for teacher and students: one-cycle SGD that resumes where it was stopped."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from student_builder.augment import augment, cut_holes
from student_builder.data import Images, Labels
from student_builder.errors import ExperimentError
from student_builder.experiment import Schedule
from student_builder.files import read_tensors, write_tensors
from student_builder.progress import Progress

CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class Pixels:
    """uint8 images [N, H, W, C] and labels, with what turns them into a network's input."""

    images: Images
    labels: Labels
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: "Indices | slice") -> tuple[Tensor, Tensor]:
        """Normalised float32 images [N, C, H, W], channels last in memory, and int64 labels [N]."""
        return self.normalise(self.images[indices]), torch.from_numpy(self.labels[indices])

    def normalise(self, images: Images) -> Tensor:
        """uint8 [N, H, W, C] -> float32 [N, C, H, W], channels last in memory."""
        raw = torch.from_numpy(np.ascontiguousarray(images))
        return ((raw / 255 - torch.tensor(self.mean)) / torch.tensor(self.std)).permute(0, 3, 1, 2)

    def first(self, count: int) -> "Pixels":
        return Pixels(self.images[:count], self.labels[:count], self.mean, self.std)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self), size):
            yield self.batch(slice(start, start + size))


@dataclass(frozen=True)
class Batch:
    """What one step trains on.

    images: normalised and augmented, float32 [N, C, H, W], channels last in memory. labels: int64 [N].
    pooled: the teacher's pooled features of these images, float32 [N, filters], where they are kept.
    """

    images: Tensor
    labels: Tensor
    pooled: Tensor | None = None


Indices = np.ndarray[Any, np.dtype[np.int64]]
# (indices of training images [N], epoch, size of crops or None, generator) -> their batch.
Source = Callable[[Indices, int, int | None, torch.Generator], Batch]
# Forward and backward of one batch -> its loss.
Step = Callable[[Batch, torch.Generator], float]


def augmented(pixels: Pixels, schedule: Schedule) -> Source:
    """Every image anew, whenever it is its turn."""

    def source(indices: Indices, _: int, size: int | None, generator: torch.Generator) -> Batch:
        images = pixels.normalise(augment(pixels.images[indices], schedule, size, generator))
        labels = torch.from_numpy(pixels.labels[indices])
        return Batch(cut_holes(images, schedule.cutout, generator), labels)

    return source


@dataclass
class _State:
    epoch: int = 0
    step: int = 0
    best: float = -1.0
    best_epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains `network` in place; afterwards it holds the weights of the best epoch on validation images.

    The order of images and their augmentation depend on (seed, epoch, step) alone, so an interrupted run
    goes on as if it had not been.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        pixels: Pixels,
        *,
        seed: int,
        state_file: Path,
        fingerprint: str,
        source: Source | None = None,
    ) -> None:
        self._network, self._schedule, self._images, self._seed = network, schedule, len(pixels), seed
        self._source = source or augmented(pixels, schedule)
        self._state_file, self._fingerprint = state_file, fingerprint
        self._steps_per_epoch = max(1, self._images // schedule.batch_size)
        self._parameters = dict(network.named_parameters())
        matrices = [p for p in self._parameters.values() if p.ndim > 1]
        others = [p for p in self._parameters.values() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": schedule.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.SGD(
            [group for group in groups if group["params"]],
            lr=schedule.learning_rate,
            momentum=schedule.momentum,
            nesterov=schedule.momentum > 0,
        )
        self._state = _State()
        self._best: dict[str, Tensor] = {}

    def run(self, name: str, step: Step, validate: Callable[[], float], progress: Progress) -> dict[str, Any]:
        """Train to the end of the schedule; returns a report (accuracies in 0..1, seconds of all runs)."""
        self._resume()
        total, done = self._schedule.epochs * self._steps_per_epoch, self._steps_done
        with progress.task(name, total, done) as task:
            while self._state.epoch < self._schedule.epochs:
                self._run_epoch(name, step, lambda note: task.advance(1, note))
                self._finish_epoch(validate())
        self._network.load_state_dict(self._best)
        self._network.eval()
        state = self._state
        return {
            "best_validation_accuracy": state.best,
            "best_epoch": state.best_epoch,
            "epochs": state.epoch,
            "seconds": round(state.seconds, 1),
            "history": state.history,
        }

    @property
    def _steps_done(self) -> int:
        return self._state.epoch * self._steps_per_epoch + self._state.step

    def _run_epoch(self, name: str, step: Step, advance: Callable[[str], None]) -> None:
        state, schedule = self._state, self._schedule
        order = np.random.RandomState([self._seed, state.epoch]).permutation(self._images)
        size = schedule.small_size if state.epoch < schedule.small_epochs else None
        self._network.train()
        saved = started = time.monotonic()
        while state.step < self._steps_per_epoch:
            indices = order[state.step * schedule.batch_size :][: schedule.batch_size]
            loss = self._train_on(indices, size, step)
            if not math.isfinite(loss):
                raise ExperimentError(
                    f"{name}: the loss is {loss} in epoch {state.epoch + 1}: "
                    f"lower the learning_rate, now {schedule.learning_rate}"
                )
            state.step += 1
            now = time.monotonic()
            state.seconds += now - started
            started = now
            advance(f"epoch {state.epoch + 1}/{schedule.epochs} loss {loss:.2f} val {max(state.best, 0):.1%}")
            if now - saved > CHECKPOINT_SECONDS:
                self._save()
                saved = now

    def _train_on(self, indices: Indices, size: int | None, step: Step) -> float:
        """One step of the optimizer; returns the batch's loss."""
        generator = torch.Generator().manual_seed(((self._seed << 40) + self._steps_done) % 2**64)
        batch = self._source(indices, self._state.epoch, size, generator)
        images = batch.images.contiguous(memory_format=torch.channels_last)
        self._set_rate()
        self._optimizer.zero_grad()
        loss = step(replace(batch, images=images), generator)
        self._optimizer.step()
        return loss

    def _set_rate(self) -> None:
        share = self._steps_done / (self._schedule.epochs * self._steps_per_epoch)
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.learning_rate * one_cycle(share, self._schedule.warmup)

    def _finish_epoch(self, accuracy: float) -> None:
        state = self._state
        state.epoch, state.step = state.epoch + 1, 0
        state.history.append({"epoch": state.epoch, "validation_accuracy": accuracy})
        if accuracy >= state.best:
            state.best, state.best_epoch = accuracy, state.epoch
            self._best = {name: value.clone() for name, value in self._network.state_dict().items()}
        self._save()

    def _save(self) -> None:
        momentum = {
            name: self._optimizer.state[parameter]["momentum_buffer"]
            for name, parameter in self._parameters.items()
            if "momentum_buffer" in self._optimizer.state[parameter]
        }
        groups = {"now": self._network.state_dict(), "best": self._best, "momentum": momentum}
        tensors = {
            f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()
        }
        write_tensors(self._state_file, tensors, {"fingerprint": self._fingerprint, **vars(self._state)})

    def _resume(self) -> None:
        found = read_tensors(self._state_file)
        if found is None or found[1].pop("fingerprint", None) != self._fingerprint:
            return
        tensors, state = found
        groups: dict[str, dict[str, Tensor]] = {"now": {}, "best": {}, "momentum": {}}
        for key, value in tensors.items():
            group, _, name = key.partition("/")
            groups[group][name] = value
        self._network.load_state_dict(groups["now"])
        self._best = groups["best"]
        for name, value in groups["momentum"].items():
            self._optimizer.state[self._parameters[name]]["momentum_buffer"] = value
        self._state = _State(**state)


def one_cycle(share: float, warmup: float) -> float:
    """Share of the peak rate: a line up to 1 at `warmup`, then half a cosine to 0 (cf. arXiv 1708.07120)."""
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup))) if warmup < 1 else 1.0


@torch.no_grad()
def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of images whose largest logit is their label's."""
    return float((logits.argmax(1) == labels).float().mean())
