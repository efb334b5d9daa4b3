from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from student_builder.onnx_export import export_student, run_students
from student_builder.student import Student
from tests.student_builder.conftest import Built

MEAN, STD = {1: (0.3,), 3: (0.5, 0.4, 0.3)}, {1: (0.35,), 3: (0.2, 0.25, 0.3)}
CLASSES, WIDTH = 6, 5
HEIGHT, WIDE = 12, 9


def random_images(count: int, channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, HEIGHT, WIDE, channels), np.uint8)


def make_student(channels: int, nonnegative: bool, mirror: bool = False) -> Student:
    """With batch statistics as after some training."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        student = Student("wrn-10-0.5", channels, torch.randn(CLASSES, WIDTH), nonnegative, mirror=mirror)
        with torch.no_grad():
            for _ in range(3):
                student(torch.randn(16, channels, HEIGHT, WIDE))
    return student.eval()


def export(student: Student, channels: int) -> bytes:
    return export_student(student, MEAN[channels], STD[channels], (HEIGHT, WIDE, channels))


@pytest.fixture(scope="module")
def grey_model() -> bytes:
    return export(make_student(1, True), 1)


@pytest.mark.parametrize(
    ("channels", "nonnegative", "mirror"), [(1, True, False), (3, False, False), (3, True, True)]
)
def test_onnx_and_torch_agree_for_any_batch(
    channels: int, nonnegative: bool, mirror: bool, grey_model: bytes
) -> None:
    student = make_student(channels, nonnegative, mirror)
    model = grey_model if channels == 1 else export(student, channels)
    onnx.checker.check_model(onnx.load_from_string(model))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape[1:]) == ("images", "tensor(uint8)", [HEIGHT, WIDE, channels])
    assert isinstance(taken.shape[0], str)
    assert (given.name, given.type, given.shape[1]) == ("partial_logits", "tensor(float)", CLASSES)
    mean, std = (torch.tensor(v[channels]) for v in (MEAN, STD))
    for count in (1, 3, 7):
        images = random_images(count, channels)
        normalised = (torch.from_numpy(images) / 255 - mean) / std
        with torch.no_grad():
            expected = student.partial_logits(student(normalised.permute(0, 3, 1, 2)))
        found = session.run(None, {"images": images})[0]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert np.ptp(found) > 1e-2


def test_an_export_is_the_same_every_time_and_tells_nothing_of_this_machine(grey_model: bytes) -> None:
    assert export(make_student(1, True), 1) == grey_model
    assert b".py" not in grey_model
    assert str(Path(__file__).parents[2]).encode() not in grey_model


def test_batches_do_not_change_the_answers(built: Built) -> None:
    entries = built.bundle.manifest.students
    models = [built.bundle.student_bytes(entry.index) for entry in entries]
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 1), np.uint8)
    whole, split = (list(run_students(models, images, size)) for size in (250, 3))
    np.testing.assert_allclose(whole, split, atol=1e-5)
