"""Views: what the teacher said once is what it would say again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from student_builder.experiment import Schedule
from student_builder.networks import WideResNet
from student_builder.progress import Silent
from student_builder.teacher import Teacher
from student_builder.training import Pixels, Source
from student_builder.views import prepare_views

IMAGES, VIEWS = 30, 2
SCHEDULE = Schedule(crop_padding=2)


class Counting(WideResNet):
    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Counting.calls += 1
        return super().forward(x)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        return Teacher(Counting(10, 0.25, 3, 4).eval(), "features", "classifier")


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (IMAGES, 8, 8, 3), np.uint8)
    return Pixels(images, random.integers(0, 4, IMAGES), (0.5,) * 3, (0.25,) * 3)


def views(teacher: Teacher, pixels: Pixels, folder: Path, schedule: Schedule = SCHEDULE) -> Source:
    return prepare_views(teacher, pixels, schedule, VIEWS, folder, Silent())


def test_what_is_kept_is_what_the_teacher_says_of_that_view(
    teacher: Teacher, pixels: Pixels, tmp_path: Path
) -> None:
    source = views(teacher, pixels, tmp_path)
    indices = np.array([7, 0, 29, 12])
    seen = []
    for epoch in range(2 * VIEWS):
        batch = source(indices, epoch, None, torch.Generator())
        seen.append(batch.images)
        assert batch.pooled is not None
        np.testing.assert_allclose(batch.pooled, teacher(batch.images)[0], rtol=0.02, atol=0.02)
        assert batch.labels.tolist() == pixels.labels[indices].tolist()
    assert torch.equal(seen[0], seen[VIEWS])
    assert not torch.equal(seen[0], seen[1])


def test_the_teacher_looks_once_and_a_damaged_view_is_made_again(
    teacher: Teacher, pixels: Pixels, tmp_path: Path
) -> None:
    views(teacher, pixels, tmp_path)
    Counting.calls = 0
    views(teacher, pixels, tmp_path)
    assert Counting.calls == 0
    damaged = tmp_path / "view-001.npy"
    damaged.write_bytes(damaged.read_bytes()[:500])
    views(teacher, pixels, tmp_path)
    assert Counting.calls == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["view-000.npy", "view-001.npy"]


def test_small_epochs_see_the_whole_view_shrunk(teacher: Teacher, pixels: Pixels, tmp_path: Path) -> None:
    source = views(teacher, pixels, tmp_path)
    indices = np.arange(5)
    whole, small = (source(indices, 0, size, torch.Generator()) for size in (None, 4))
    assert small.images.shape == (5, 3, 4, 4)
    np.testing.assert_allclose(small.images.mean((2, 3)), whole.images.mean((2, 3)), atol=0.15)
    assert torch.equal(small.pooled, whole.pooled)  # type: ignore[arg-type]


def test_cutout_comes_on_top_anew_each_time(teacher: Teacher, pixels: Pixels, tmp_path: Path) -> None:
    source = views(teacher, pixels, tmp_path, Schedule(crop_padding=2, cutout=4))
    batches = [source(np.arange(5), 0, None, torch.Generator().manual_seed(n)) for n in range(2)]
    assert not torch.equal(batches[0].images, batches[1].images)
    assert torch.equal(batches[0].pooled, batches[1].pooled)  # type: ignore[arg-type]
