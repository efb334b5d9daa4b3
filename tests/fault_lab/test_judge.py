"""The judge lets no false answer pass, and no true one fail."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import Bundle
from fault_lab.record import Ending, Outcome
from fault_lab.run.judge import NOTICE, Judge, check_accuracy
from fault_lab.run.truth import Truth
from protos import nonn_pb2, tensors

DIGITS = Path(__file__).parents[2] / "samples/digits"
ROWS = np.array([3, 1])


@pytest.fixture(scope="module")
def truth() -> Truth:
    bundle = Bundle.load(DIGITS)
    images = bundle.self_test.images
    return Truth(bundle, images, np.zeros(len(images), int))


@pytest.fixture
def judge(truth: Truth) -> Judge:
    return Judge(truth, strict=False, deadline=2.0)


@pytest.fixture
def answer(truth: Truth) -> Callable[..., nonn_pb2.PredictResponse]:
    """As the cluster ought to give it, but for the changes."""

    def answer(*answered: int, **changes: Any) -> nonn_pb2.PredictResponse:
        fields: dict[str, Any] = {
            "logits": tensors.encode(truth.logits(answered, ROWS)),
            "answered": answered,
            "missing": [student for student in range(8) if student not in answered],
            "degraded": len(answered) < 8,
            "expected_accuracy": truth.bundle.expected_accuracy(answered),
        }
        return nonn_pb2.PredictResponse(**{**fields, **changes})

    return answer


def complaints(judge: Judge, response: nonn_pb2.PredictResponse) -> list[str]:
    return [line.partition(":")[0] for line in judge.read(response, ROWS)[1]]


def test_offline_partials_are_those_of_the_bundle(truth: Truth) -> None:
    everyone = tuple(range(8))
    partials = {student: truth.bundle.self_test.partials[student] for student in everyone}
    merged = truth.bundle.merger.merge(partials)
    assert np.allclose(truth.logits(everyone, np.arange(len(merged))), merged, atol=1e-4)


@pytest.mark.parametrize("answered", [tuple(range(8)), (0, 1, 2, 3), (5,)])
def test_a_true_answer_passes(judge: Judge, answer, answered: tuple[int, ...]) -> None:
    told, problems = judge.read(answer(*answered), ROWS)
    assert not problems
    assert told["answered"] == answered
    assert told["right"] in (0, 1, 2)


def test_every_false_answer_is_found(judge: Judge, truth: Truth, answer) -> None:
    wrong = answer(0, 1, 2)
    wrong.answered[:] = [0, 1, 3]
    wrong.missing[:] = [2, 4, 5, 6, 7]
    wrong.expected_accuracy = truth.bundle.expected_accuracy((0, 1, 3))
    assert complaints(judge, wrong) == ["MERGE"]

    hidden = answer(0, 1, 2)
    hidden.missing[:] = []
    assert complaints(judge, hidden) == ["TRUTH"]

    whole = answer(0, 1, 2)
    whole.degraded = False
    assert complaints(judge, whole) == ["TRUTH"]

    assert complaints(judge, answer(0, 1, 2, expected_accuracy=0.5)) == ["ACCURACY"]
    off = truth.logits((0, 1, 2), ROWS) + np.float32(0.1)
    assert complaints(judge, answer(0, 1, 2, logits=tensors.encode(off))) == ["MERGE"]
    assert complaints(judge, answer(0, 1, 2, logits=tensors.encode(off * np.nan))) == ["MERGE"]
    assert complaints(judge, answer(0, 1, 2, logits=tensors.encode(off[:1]))) == ["MERGE"]
    assert complaints(judge, nonn_pb2.PredictResponse()) == ["TRUTH"]


def test_strict_requests_get_no_degraded_answer(truth: Truth, answer) -> None:
    strict = Judge(truth, strict=True, deadline=2.0)
    assert complaints(strict, answer(*range(8))) == []
    assert complaints(strict, answer(0, 1)) == ["STRICT"]


def test_while_a_device_makes_answers_up_logits_are_not_compared(judge: Judge, truth: Truth, answer) -> None:
    judge.lying = True
    off = truth.logits((0, 1, 2), ROWS) + np.float32(5)
    told, problems = judge.read(answer(0, 1, 2, logits=tensors.encode(off)), ROWS)
    assert not problems
    assert told.get("right") is None
    assert judge.uncompared == 1


@pytest.mark.parametrize(
    ("ending", "seconds", "code", "complaint"),
    [
        (Ending.ANSWERED, 1.9, "", None),
        (Ending.ANSWERED, 2.0 + 2 * NOTICE, "", "IN_TIME"),
        (Ending.REFUSED, 1.0, "UNAVAILABLE", None),
        (Ending.REFUSED, 1.0, "INTERNAL", "REFUSAL"),
        (Ending.REFUSED, 2.0 + 2 * NOTICE, "UNAVAILABLE", "IN_TIME"),
        (Ending.UNREACHABLE, 2.5, "UNAVAILABLE", None),
        (Ending.LOST, 1.0, "CANCELLED", "LOST"),
    ],
)
def test_how_a_request_ended(
    judge: Judge, ending: Ending, seconds: float, code: str, complaint: str | None
) -> None:
    said = judge.ending(Outcome(1, 0.0, seconds, ending, code=code))
    assert (said and said.partition(":")[0]) == complaint


def test_a_caller_that_was_held_up_cannot_say_that_an_answer_was_late(judge: Judge) -> None:
    late = Outcome(1, 0.0, 2.0 + 2 * NOTICE, Ending.ANSWERED)
    assert judge.ending(late) is not None
    assert judge.ending(late, held_up=True) is None


def outcomes(right: float, expected: float, images: int, repeats: int = 1) -> list[Outcome]:
    """`right` of the images are classified rightly, each time that they are asked about."""
    return [
        Outcome(
            number,
            0.0,
            0.1,
            Ending.ANSWERED,
            first=image,
            expected_accuracy=expected,
            right=image < right * images,
        )
        for number in range(repeats)
        for image in range(images)
    ]


def test_accuracy_may_differ_by_chance_and_no_more() -> None:
    assert check_accuracy(outcomes(0.93, 0.95, 300), 300) is None
    assert check_accuracy(outcomes(0.80, 0.95, 300), 300) is not None
    assert check_accuracy(outcomes(1.0, 0.80, 300), 300) is not None


def test_asking_again_about_an_image_makes_nobody_surer() -> None:
    few = outcomes(0.85, 0.95, 40)
    assert check_accuracy(few, 300) is None
    repeated = [dataclasses.replace(one, number=number) for number, one in enumerate(few * 100)]
    assert check_accuracy(repeated, 300) is None


def test_without_labels_there_is_no_accuracy() -> None:
    assert check_accuracy([Outcome(1, 0.0, 0.1, Ending.ANSWERED, expected_accuracy=0.9)], 300) is None
