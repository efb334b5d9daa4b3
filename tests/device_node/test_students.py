import numpy as np
import pytest
from onnx import TensorProto, helper

from device_node.choice import FP32_TOLERANCE
from device_node.errors import BudgetPassed, StudentUnusable, WorkRefused
from device_node.students import LARGEST_RUN, Student
from tests.device_node.graphs import make_student, some_images


@pytest.mark.parametrize("count", [1, 15, 16, 17, 33])
def test_computes_any_number_of_images(count: int) -> None:
    student = make_student(0)
    images = some_images(count)
    found = Student(student.model, threads=1).compute(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, student.logits(images), rtol=1e-4, atol=1e-3)


def test_the_self_test_passes_within_its_tolerance() -> None:
    made, images = make_student(0), some_images(4)
    student = Student(made.model, threads=2)
    exact = student.compute(images)
    student.self_test(images, exact + np.float32(0.9 * FP32_TOLERANCE))
    with pytest.raises(StudentUnusable, match="off by"):
        student.self_test(images, exact + np.float32(2 * FP32_TOLERANCE))


@pytest.mark.parametrize("wrong", [np.full((4, 7), np.nan, np.float32), np.full((4, 7), np.inf, np.float32)])
def test_values_that_are_no_numbers_fail_the_self_test(wrong: np.ndarray) -> None:
    with pytest.raises(StudentUnusable, match="off by"):
        Student(make_student(0).model, threads=1).self_test(some_images(4), wrong)


def test_a_self_test_of_another_shape_fails() -> None:
    student = Student(make_student(0).model, threads=1)
    with pytest.raises(StudentUnusable, match=r"gives \[4, 7\], expected \[4, 8\]"):
        student.self_test(some_images(4), np.zeros((4, 8), np.float32))
    with pytest.raises(StudentUnusable, match="cannot run"):
        student.self_test(np.zeros((4, 9, 9, 3), np.uint8), np.zeros((4, 7), np.float32))


def test_what_is_not_wanted_any_longer_is_given_up_between_runs() -> None:
    student = Student(make_student(0).model, threads=1)
    for runs in range(3):
        answers = iter([True] * runs + [False])
        with pytest.raises(BudgetPassed, match=f"with {runs * LARGEST_RUN} of 48 images"):
            student.compute(some_images(3 * LARGEST_RUN), lambda answers=answers: next(answers))


def test_the_speed_is_what_was_measured() -> None:
    student = Student(make_student(0).model, threads=1)
    assert student.speed(1000) == 0.0
    student.measure(some_images(4))
    assert student.speed(2_000_000) == pytest.approx(0.002 / student.image_seconds)
    assert student.speed(0) == 0.0


@pytest.mark.parametrize("shape", [(0, 4, 5, 3), (1, 4, 5, 4), (1, 5, 5, 3)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WorkRefused, match=r"expected \[N, 4, 5, 3\]"):
        Student(make_student(0).model, threads=1).compute(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("model", [b"", b"no model", make_student(0).model[:200]])
def test_what_is_no_model_cannot_be_loaded(model: bytes) -> None:
    with pytest.raises(StudentUnusable):
        Student(model, threads=1)


def test_a_graph_of_another_form_is_refused() -> None:
    node = helper.make_node("Identity", ["images"], ["partial_logits"])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3])
        for name in ("images", "partial_logits")
    ]
    graph = helper.make_graph([node], "other", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(StudentUnusable, match="not from uint8 images"):
        Student(model.SerializeToString(), threads=1)
