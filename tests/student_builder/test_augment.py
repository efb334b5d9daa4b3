import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from student_builder.augment import Images, augment, cut_holes
from student_builder.experiment import Schedule


def distinct(count: int, height: int, width: int, channels: int = 2) -> Images:
    """Within an image every number is there once, and none is 0."""
    size = count * height * width * channels
    return (1 + np.arange(size) % 251).astype(np.uint8).reshape(count, height, width, channels)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def schedule(padding: int = 0, flip: bool = False) -> Schedule:
    return Schedule(crop_padding=padding, flip=flip)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 5), st.integers(4, 9), st.integers(4, 9), st.integers(0, 3), st.booleans(),
    st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_shapes_and_values(
    count: int, height: int, width: int, padding: int, flip: bool, small: bool, seed: int
) -> None:
    images = distinct(count, height, width)
    size = 4 if small else None
    plan = schedule(padding, flip)
    result = augment(images, plan, size, generator(seed))
    assert result.dtype == np.uint8
    assert result.shape == (count, *((4, 4) if small else (height, width)), 2)
    for image, before in zip(result, images, strict=True):
        for channel in range(2):
            assert set(image[..., channel].flat) <= set(before[..., channel].flat)
    assert np.array_equal(result, augment(images, plan, size, generator(seed)))


def test_nothing_is_asked_for() -> None:
    images = distinct(3, 5, 5)
    assert np.array_equal(augment(images, schedule(), None, generator()), images)


def test_a_crop_is_a_window_of_the_padded_image_and_every_image_has_its_own() -> None:
    images, padding = distinct(64, 6, 6), 2
    padded = np.pad(images, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)), "reflect")
    result = augment(images, schedule(padding), None, generator())
    places = []
    for index in range(len(images)):
        found = [
            (y, x)
            for y in range(2 * padding + 1)
            for x in range(2 * padding + 1)
            if np.array_equal(padded[index, y : y + 6, x : x + 6], result[index])
        ]
        assert len(found) == 1
        places += found
    assert len(set(places)) > 12
    assert {y for y, _ in places} == {x for _, x in places} == set(range(2 * padding + 1))


def test_flips_are_whole_images_about_half_of_them() -> None:
    images = distinct(200, 3, 4)
    result = augment(images, schedule(flip=True), None, generator())
    flipped = [np.array_equal(after, before[:, ::-1]) for after, before in zip(result, images, strict=True)]
    same = [np.array_equal(after, before) for after, before in zip(result, images, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 60 < sum(flipped) < 140


@pytest.mark.parametrize("side", [1, 3, 4])
def test_a_hole_is_one_square_that_all_channels_share(side: int) -> None:
    images = torch.arange(1.0, 1 + 50 * 2 * 8 * 8).view(50, 2, 8, 8)
    result = cut_holes(images, side, generator())
    assert torch.equal(result[result != 0], images[result != 0])
    holes = (result == 0).all(1).numpy()
    assert np.array_equal(holes, (result == 0).any(1).numpy())
    assert holes.sum((1, 2)).max() == side * side
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns) > 0
        assert rows[-1] - rows[0] + 1 == len(rows) <= side
    assert len({hole.tobytes() for hole in holes}) > 20


def test_no_hole_where_none_is_asked_for() -> None:
    images = torch.ones(2, 1, 3, 3)
    assert torch.equal(cut_holes(images, 0, generator()), images)
