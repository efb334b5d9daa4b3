"""What was tried beside the rows: the other losses, and the tables of what came out."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from benchmarks.accuracy.recipes import LOSSES, VARIANTS, _decoupled, _section
from benchmarks.accuracy.tried import merging, partitions, recipes
from student_builder.distillation import Lesson, Targets
from student_builder.experiment import StudentsSection

CLASSES = 7


def lesson(images: int) -> tuple[torch.Tensor, Lesson]:
    """Some student's logits, and what it should learn."""
    generator = torch.Generator().manual_seed(images)
    logits, known = (3 * torch.randn(images, CLASSES, generator=generator) for _ in range(2))
    labels = torch.randint(CLASSES, (images,), generator=generator)
    return logits, Lesson(torch.empty(images, 0), labels, Targets(known, (), torch.empty(0)))


def section(**changes: float) -> StudentsSection:
    return StudentsSection(
        count=1, **{"cross_entropy": 0.0, "distillation": 1.0, "temperature": 2.0, **changes}
    )


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_decoupled_distillation_is_the_usual_one_where_its_weight_is(temperature: float) -> None:
    """KD = target class + (1 - the teacher's p of the target) x the others: arXiv 2203.08402, equation 6."""
    logits, one = lesson(1)
    own = section(temperature=temperature)
    known = functional.softmax(one.targets.logits / temperature, 1)[0, one.labels[0]].item()
    usual = LOSSES["kd"](own, logits, one)
    torch.testing.assert_close(_decoupled(1 - known)(own, logits, one), usual)
    assert not torch.isclose(_decoupled(8.0)(own, logits, one), usual)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_least_where_the_teacher_is_matched(name: str) -> None:
    logits, several = lesson(9)
    matched = LOSSES[name](section(), several.targets.logits + 5, several)
    assert matched.item() == pytest.approx(0, abs=1e-4)
    assert LOSSES[name](section(), logits, several) > 0.1


def test_every_variant_is_a_recipe_of_its_own() -> None:
    made = [
        (_section(variant).model_dump_json(), variant.loss, variant.average) for variant in VARIANTS.values()
    ]
    assert len(set(made)) == len(made)
    assert {variant.loss for variant in VARIANTS.values()} == set(LOSSES)


def test_the_tables() -> None:
    variants = {
        "base": {"label": "as it is", "kept": True, "seeds": 3, "accuracy": 0.4, "seconds": 70.2},
        "other": {"label": "otherwise", "kept": False, "seeds": 1, "accuracy": 0.385, "seconds": 71.0},
    }
    found: dict[str, Any] = {
        "variants": variants,
        "steps": {"epochs": 5, "small_epochs": 3},
        "deviation_over_seeds": 0.004,
    }
    lines = recipes(found)
    assert lines[2:4] == [
        "| as it is | 40.0 |  | 70 | kept |",
        "| otherwise | 38.5 | -1.5 | 71 | not kept |",
    ]
    assert "deviation of 0.4 points" in lines[-1]
    half = {
        fill: {"mean": mean, "worst": 0.1} for fill, mean in (("zero", 0.3), ("mean", 0.4), ("ridge", 0.7))
    }
    split = {"parts": 4, "method": "louvain", "weights": "activation_hub", "sizes": [9, 80, 9, 9]}
    row = {**split, "full": 0.74, "half": half}
    assert partitions({"rows": [row]})[2] == (
        "| 4 | louvain | activation_hub | 9 to 80 | 74.0 | 30.0 | 40.0 | 70.0 |"
    )
    merged = {
        "nonn": {"label": "NoNN: its own", "ways": {"zero": 0.3}},
        "ours": {"label": "ours: together", "ways": {"zero": 0.6, "by confidence": 0.61}},
    }
    assert merging({"lost": 4, "rows": merged}) == [
        "| 4 of 8 lost | NoNN | ours |",
        "|---|---|---|",
        "| zero | 30.0 | 60.0 |",
        "| by confidence |  | 61.0 |",
    ]
