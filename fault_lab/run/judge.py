"""Every outcome held to what the cluster promises. Pure: it is told what came, and says what is wrong."""

import math
from collections import defaultdict
from collections.abc import Iterable
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
# Standard errors of the accuracy. Were errors normal, one run in some ten thousand is farther off by chance.
DEVIATIONS: Final = 4.0
LEAST_IMAGES: Final = 30


class Judge:
    """strict, deadline: as the requests were. uncompared: answers that a student may have lied to."""

    def __init__(self, truth: Truth, *, strict: bool, deadline: float) -> None:
        self.uncompared = 0
        self._truth = truth
        self._strict = strict
        self._deadline = deadline

    def read(
        self,
        response: nonn_pb2.PredictResponse,
        rows: NDArray[np.intp],
        liars: frozenset[int] = frozenset(),
    ) -> tuple[dict[str, Any], list[str]]:
        """What an answer adds to its outcome, and what is wrong with it.

        liars: students whose partial logits may be made up, so that an answer of theirs cannot be compared.
        """
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
        lied = not liars.isdisjoint(answered)
        self.uncompared += lied
        if wrong := self._compare(logits, answered, rows, shape_only=lied):
            problems.append(wrong)
        elif not lied:
            told["right"] = self._truth.right(logits, rows)
        return told, problems

    def _compare(
        self,
        logits: NDArray[np.float32],
        answered: tuple[int, ...],
        rows: NDArray[np.intp],
        *,
        shape_only: bool,
    ) -> str | None:
        merged = self._truth.logits(answered, rows)
        if logits.shape != merged.shape:
            return f"MERGE: logits of shape {list(logits.shape)}, not {list(merged.shape)}"
        if shape_only:
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


def check_accuracy(outcomes: Iterable[Outcome], validation_images: int, images: int) -> Problem | None:
    """The observed accuracy against that which the answers were told, over the whole run.

    Requests about the same of the `images` count once, with the mean over their answers: repeats tell nothing
    new. The expectation was itself measured on `validation_images`. Both errors are taken as normal, and as
    no less than binomial ones; with few images, nothing can be said.
    """
    groups: defaultdict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.right is not None and outcome.expected_accuracy is not None:
            groups[outcome.first].append(outcome)
    asked = min(images, sum(group[0].images for group in groups.values()))
    if asked < LEAST_IMAGES or len(groups) < 2:
        return None
    differences = [
        float(np.mean([(o.right or 0) / o.images - (o.expected_accuracy or 0.0) for o in group]))
        for group in groups.values()
    ]
    told = float(np.mean([o.expected_accuracy for group in groups.values() for o in group]))
    variance = told * (1 - told)
    empirical = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    error = math.hypot(
        max(empirical, math.sqrt(variance / asked)), math.sqrt(variance / max(validation_images, 1))
    )
    difference = float(np.mean(differences))
    if abs(difference) <= DEVIATIONS * error + 1 / asked:
        return None
    what = f"observed accuracy differs from the expected by {difference:+.1%}, with an error of {error:.1%}"
    return Problem("ACCURACY", f"over {asked} images the {what}", at=math.inf)
