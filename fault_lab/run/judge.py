"""Every outcome held to what the cluster promises. Pure: it is told what came, and says what is wrong."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fault_lab.record import Ending, Outcome, Problem
from fault_lab.run.truth import Truth
from protos import nonn_pb2, tensors

DOCUMENTED: Final = frozenset(
    {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
)
# Of logits, relative to the largest: ONNX Runtime rounds differently for another number of images at once.
TOLERANCE: Final = 1e-4
# Seconds that a caller on a busy machine may take to notice an outcome that came in time.
NOTICE: Final = 0.25
# Of the accuracy: one run in some ten thousand is farther off by chance.
DEVIATIONS: Final = 4.0


class Judge:
    """strict: as the requests were. lying: sound-shaped partial logits are being made up by some device, so
    that logits cannot be compared; nobody can tell them from true ones.
    """

    def __init__(self, truth: Truth, *, strict: bool, deadline: float) -> None:
        self.lying = False
        self.uncompared = 0
        self._truth = truth
        self._strict = strict
        self._deadline = deadline

    def read(
        self, response: nonn_pb2.PredictResponse, rows: NDArray[np.intp]
    ) -> tuple[dict[str, Any], list[str]]:
        """What an answer adds to its outcome, and what is wrong with it."""
        answered, missing = tuple(response.answered), tuple(response.missing)
        told = {"answered": answered, "missing": missing, "expected_accuracy": response.expected_accuracy}
        if sorted((*answered, *missing)) != list(range(self._truth.students)) or not answered:
            return told, [f"TRUTH: it names {answered} answered and {missing} missing"]
        problems = []
        if response.degraded != bool(missing):
            problems.append(f"TRUTH: degraded is {response.degraded}, and {missing} are missing")
        if self._strict and missing:
            problems.append(f"STRICT: a strict request was answered without {missing}")
        expected = self._truth.bundle.expected_accuracy(answered)
        if response.expected_accuracy != expected:
            problems.append(f"ACCURACY: told {response.expected_accuracy} of {answered}, not {expected}")
        try:
            logits = tensors.decode(response.logits, nonn_pb2.FLOAT32, 2)
        except ValueError as error:
            return told, [*problems, f"MERGE: {error}"]
        if wrong := self._compare(logits, answered, rows):
            problems.append(wrong)
        else:
            told["right"] = None if self.lying else self._truth.right(logits, rows)
        return told, problems

    def _compare(
        self, logits: NDArray[np.float32], answered: tuple[int, ...], rows: NDArray[np.intp]
    ) -> str | None:
        merged = self._truth.logits(answered, rows)
        if logits.shape != merged.shape:
            return f"MERGE: logits of shape {list(logits.shape)}, not {list(merged.shape)}"
        if self.lying:
            self.uncompared += 1
            return None
        off, largest = float(np.abs(logits - merged).max()), max(1.0, float(np.abs(merged).max()))
        if off <= TOLERANCE * largest:
            return None
        return f"MERGE: off by {off:.3g} from the merge of {answered}"

    def ending(self, outcome: Outcome, *, held_up: bool = False) -> str | None:
        """What is wrong with how and when the request ended. held_up: the caller, so that it noticed late."""
        if outcome.ending is Ending.LOST:
            return f"LOST: neither answered nor refused: {outcome.code}"
        if outcome.ending is Ending.UNREACHABLE:
            return None
        if outcome.ending is Ending.REFUSED and outcome.code not in DOCUMENTED:
            return f"REFUSAL: refused with {outcome.code}, which is not documented"
        if outcome.seconds > self._deadline + NOTICE and not held_up:
            return f"IN_TIME: ended after {outcome.seconds:.3f} s, with a deadline of {self._deadline:g} s"
        return None


def check_accuracy(outcomes: Iterable[Outcome], validation_images: int) -> Problem | None:
    """The observed accuracy against that which the answers were told, over the whole run.

    An image that was asked about several times counts once, with the mean over its answers: repeats tell
    nothing new. The expectation was itself measured on `validation_images`. Both errors are taken as normal.
    """
    by_image: defaultdict[int, list[float]] = defaultdict(list)
    told: list[float] = []
    for outcome in outcomes:
        if outcome.right is not None and outcome.expected_accuracy is not None:
            by_image[outcome.first].append(outcome.right / outcome.images - outcome.expected_accuracy)
            told.append(outcome.expected_accuracy)
    if len(by_image) < 2:
        return None
    difference, error = _estimate([float(np.mean(values)) for values in by_image.values()])
    mean = float(np.mean(told))
    error = math.hypot(error, math.sqrt(mean * (1 - mean) / max(validation_images, 1)))
    if abs(difference) <= DEVIATIONS * error + 1 / max(validation_images, len(by_image)):
        return None
    what = f"observed accuracy differs from the expected by {difference:+.1%}, with an error of {error:.1%}"
    return Problem("ACCURACY", f"over {len(by_image)} images the {what}", at=math.inf)


def _estimate(differences: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(np.mean(differences)), float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
