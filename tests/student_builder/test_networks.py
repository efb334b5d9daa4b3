import pytest
import torch

from student_builder.errors import ExperimentError
from student_builder.networks import WideResNet, count_multiply_adds, count_parameters, parse_architecture
from student_builder.student import Student


def test_the_default_student_is_the_papers_network() -> None:
    """WRN-16-1 has 175,066 parameters with 10 classes: arXiv 1605.07146 gives 0.2 M."""
    assert sum(p.numel() for p in WideResNet(16, 1, 3, 10).parameters()) == pytest.approx(175_066, rel=0.01)
    body = parse_architecture("wrn-16-1", 3)
    assert body.channels_out == 64
    assert body(torch.zeros(2, 3, 32, 32)).shape == (2, 64, 8, 8)


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_any_size_of_image(side: int) -> None:
    student = Student("wrn-10-0.25", 1, torch.zeros(3, 7)).eval()
    assert student(torch.zeros(2, 1, side, side + 1)).shape == (2, 7)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_features_have_the_sign_of_the_teachers(nonnegative: bool) -> None:
    student = Student("wrn-10-0.25", 1, torch.zeros(3, 32), nonnegative)
    with torch.no_grad():
        lowest = student(torch.randn(16, 1, 4, 4)).min()
    assert (lowest >= 0) == nonnegative


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18", "use wrn-DEPTH-WIDTH"),
        ("wrn-16", "use wrn-DEPTH-WIDTH"),
        ("wrn-16-1 ", "use wrn-DEPTH-WIDTH"),
        ("wrn-11-1", "depth 10, 16, 22, 28, ...; not 11"),
        ("wrn-4-1", "not 4"),
        ("wrn-10-0", "must be above 0"),
        ("compact", "use wrn-DEPTH-WIDTH"),
        ("compact-32", "compact-WIDTH-WIDTH"),
        ("compact-32-0", "above 0"),
    ],
)
def test_architectures_that_there_are_not(name: str, said: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        parse_architecture(name, 3)
    assert said in str(caught.value)


def test_what_a_student_costs() -> None:
    student = Student("wrn-10-0.25", 2, torch.zeros(3, 7))
    widths = [4, 8, 16]
    stem = 9 * 2 * 4
    parameters, multiply_adds, before, area = stem, stem * 64, 4, 64
    for stage, width in enumerate(widths):
        area = area // 4 if stage else area
        convolutions = 9 * before * width + 9 * width * width + (before * width if stage else 0)
        parameters += convolutions + 2 * before + 2 * width
        multiply_adds += convolutions * area
        before = width
    bridge = 16 * 7
    assert count_parameters(student) == parameters + 2 * 16 + bridge + 2 * 7 + 3 * 7
    assert count_multiply_adds(student, (2, 8, 8)) == multiply_adds + bridge * area
    assert student.training


def test_a_compact_student_stays_within_the_budget_of_the_benchmark() -> None:
    body = parse_architecture("compact-32-48-60", 3)
    assert body(torch.zeros(2, 3, 32, 32)).shape == (2, 60, 4, 4)
    widest = Student("compact-32-48-60", 3, torch.zeros(100, 192))
    assert count_parameters(widest) <= 180_000
    assert count_multiply_adds(widest, (3, 32, 32)) <= 30_000_000


def test_a_mirrored_student_once_trained_takes_the_mean_of_both_images() -> None:
    torch.manual_seed(0)
    columns = torch.randn(3, 7)
    plain, mirrored = (Student("wrn-10-0.25", 2, columns, mirror=mirror) for mirror in (False, True))
    mirrored.load_state_dict(plain.state_dict())
    images = torch.randn(4, 2, 8, 8)
    with torch.no_grad():
        assert torch.equal(plain(images), mirrored(images))  # while they train
        plain.eval()
        mirrored.eval()
        both = (plain(images) + plain(images.flip(3))) / 2
        torch.testing.assert_close(mirrored(images), both)
        assert not torch.allclose(plain(images), both, atol=1e-3)
    assert count_parameters(mirrored) == count_parameters(plain)
    assert count_multiply_adds(mirrored, (2, 8, 8)) == 2 * count_multiply_adds(plain, (2, 8, 8))
