"""The trained bundles in samples/: whole, small enough, and what their experiment files say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import Bundle
from student_builder import load_experiment
from student_builder.onnx_export import run_students

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ("digits", "cifar100", "cifar100-wrn")
LARGEST = 8_000_000  # bytes


@pytest.fixture(params=SAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_student_answers_its_self_test(name: str) -> None:
    bundle = Bundle.load(ROOT / "samples" / name)
    models = [bundle.student_bytes(index) for index in range(bundle.merger.students)]
    images, expected = bundle.self_test.images, bundle.self_test.partials
    np.testing.assert_allclose(list(run_students(models, images)), expected, atol=1e-3)


def test_it_is_small_enough_to_be_cloned(name: str) -> None:
    files = [path for path in (ROOT / "samples" / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST


def test_its_experiment_is_the_one_beside_it(name: str) -> None:
    built = Bundle.load(ROOT / "samples" / name).manifest.experiment
    experiment = load_experiment(ROOT / "experiments" / f"{name}.toml").model_dump(mode="json")
    assert built["seed"] == experiment["seed"]
    for section in ("partition", "trunk", "students", "merge"):
        assert _known(experiment[section], built.get(section)) == built.get(section)


def _known(now: Any, then: Any) -> Any:
    """Keys that have been added since are left out."""
    return {key: now[key] for key in then} if isinstance(then, dict) else now
