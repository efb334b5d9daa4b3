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


def test_an_answer_with_a_liar_in_it_is_not_compared_and_others_are(
    judge: Judge, truth: Truth, answer
) -> None:
    off = truth.logits((0, 1, 2), ROWS) + np.float32(5)
    lie = answer(0, 1, 2, logits=tensors.encode(off))
    told, problems = judge.read(lie, ROWS, frozenset({2}))
    assert not problems
    assert told.get("right") is None
    assert judge.uncompared == 1
    assert judge.read(lie, ROWS, frozenset({3}))[1]


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


def outcomes(right: float, expected: float, requests: int, images: int = 1) -> list[Outcome]:
    """`right` of the images are classified rightly."""
    sure = round(right * images) if images > 1 else None
    return [
        Outcome(
            number,
            0.0,
            0.1,
            Ending.ANSWERED,
            images,
            first=number * images,
            expected_accuracy=expected,
            right=int(number < right * requests) if sure is None else sure,
        )
        for number in range(requests)
    ]


def verdict(outcomes: list[Outcome], images: int = 512) -> bool:
    return check_accuracy(outcomes, 300, images) is None


def test_accuracy_may_differ_by_chance_and_no_more() -> None:
    assert verdict(outcomes(0.93, 0.95, 300))
    assert not verdict(outcomes(0.75, 0.95, 300))
    assert not verdict(outcomes(1.0, 0.75, 300))


def test_requests_of_many_images_are_worth_as_many() -> None:
    assert not verdict(outcomes(0.75, 0.95, 8, images=64))
    assert verdict(outcomes(0.93, 0.95, 8, images=64))


def test_asking_again_about_an_image_makes_nobody_surer() -> None:
    few = outcomes(0.85, 0.95, 40)
    assert verdict(few)
    assert verdict([dataclasses.replace(one, number=number) for number, one in enumerate(few * 100)])


@pytest.mark.parametrize(("images", "requests"), [(1, 40), (1, 200), (16, 3), (64, 2), (64, 8)])
def test_an_exact_cluster_is_hardly_ever_accused(images: int, requests: int) -> None:
    random = np.random.default_rng(1)
    accused = 0
    for _ in range(300):
        right = random.binomial(images, 0.7, requests)
        made = [
            dataclasses.replace(one, right=int(count), expected_accuracy=0.7)
            for one, count in zip(outcomes(0.5, 0.7, requests, images), right, strict=True)
        ]
        accused += not verdict(made)
    assert accused == 0


def test_from_a_few_images_nothing_follows() -> None:
    assert verdict(outcomes(0.0, 0.95, 10))


def test_without_labels_there_is_no_accuracy() -> None:
    unknown = [dataclasses.replace(one, right=None) for one in outcomes(0.0, 0.95, 300)]
    assert verdict(unknown)
