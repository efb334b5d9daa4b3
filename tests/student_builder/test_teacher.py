from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from student_builder.errors import TeacherError
from student_builder.precision import has_bfloat16
from student_builder.teacher import find_teacher
from tests.student_builder import networks as ways


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return make()


@pytest.mark.parametrize(
    ("make", "features", "classifier"),
    [
        (ways.nested, "0", "1.3"),
        (ways.FunctionalPooling, "features", "fc"),
        (ways.ResidualLast, "features", "classifier"),
        (ways.FunctionsOnly, "relu()", "linear"),
        (ways.SumInPlace, "add_()", "fc"),
        (ways.MapOfOnePixel, "down", "fc"),
        (ways.OneByOneConvolutionLast, "widen", "fc"),
    ],
)
def test_found_however_the_network_is_written(
    make: Callable[[], nn.Module], features: str, classifier: str, images: Tensor
) -> None:
    network = seeded(make)
    teacher = find_teacher(network, images, None, None)
    assert (teacher.features, teacher.classifier) == (features, classifier)
    assert (teacher.filters, teacher.classes) == (6, ways.CLASSES)
    pooled, logits = teacher(images)
    assert pooled.dtype == logits.dtype == torch.float32
    tolerance = 2e-2 if has_bfloat16() else 1e-5
    with torch.no_grad():
        np.testing.assert_allclose(logits, network(images), atol=tolerance)
        np.testing.assert_allclose(pooled @ teacher.weight.T + teacher.bias, logits, atol=tolerance)


def test_small_numbers_do_not_all_look_alike(images: Tensor) -> None:
    """An untrained network may give logits far below any absolute tolerance."""
    network = seeded(lambda: ways.Ending("hidden layer"))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1e-3)
    with pytest.raises(TeacherError, match="no feature map"):
        find_teacher(network, images, None, None)


@pytest.mark.parametrize("name", ["0", "0.2", "0.2.2"])
def test_layers_that_are_named(name: str, images: Tensor) -> None:
    teacher = find_teacher(seeded(ways.nested), images, name, "1.3")
    assert (teacher.features, teacher.classifier) == (name, "1.3")


@pytest.mark.parametrize(
    ("features", "classifier", "said"),
    [
        ("0.3", None, "'0.3' gives no feature map; these do: ..., 0.0, 0.1, "),
        ("0.0", None, "between '0.0' and '1.3' there is more than global average pooling"),
        ("0.2.1", None, "these would fit: 0.2.2, 0"),
        (None, "1.2", "'1.2' is not a linear layer that gives the teacher's output; linear layers are: 1.3"),
        (None, "gone", "teacher.classifier 'gone'"),
    ],
)
def test_layers_that_are_named_wrongly(
    features: str | None, classifier: str | None, said: str, images: Tensor
) -> None:
    with pytest.raises(TeacherError) as caught:
        find_teacher(seeded(ways.nested), images, features, classifier)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("log_softmax", "the teacher has no final linear layer"),
        ("scaled in place", "the teacher has no final linear layer"),
        ("convolution", "the teacher has no final linear layer"),
        ("hidden layer", "no feature map, averaged over height and width, is the input of 'fc'"),
        ("largest value", "no feature map, averaged over height and width, is the input of 'fc'"),
        ("tuple", "must return one tensor of logits"),
        ("one image", "must return one tensor of logits"),
        ("not a number", "logits are not finite"),
    ],
)
def test_networks_that_are_no_teachers(kind: str, said: str, images: Tensor) -> None:
    with pytest.raises(TeacherError) as caught:
        find_teacher(seeded(lambda: ways.Ending(kind)), images, None, None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (4, 3, 2, 2)])
def test_images_that_the_network_does_not_take(shape: tuple[int, ...]) -> None:
    with pytest.raises(TeacherError) as caught:
        find_teacher(seeded(ways.FunctionsOnly), torch.zeros(shape), None, None)
    assert f"does not take images of {list(shape[1:])}" in str(caught.value)
    assert "\n" not in str(caught.value)
