import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from student_builder.data import Dataset, channel_moments, load_data, split_validation
from student_builder.errors import DataError
from tests.student_builder.small import TEST, TRAIN, digits

Paint = Callable[..., Path]


@pytest.fixture
def paint(tmp_path: Path) -> Paint:
    """A folder with images of three classes, two each, every pixel telling class and image."""

    def paint(*below: str, size: tuple[int, int] = (5, 4), mode: str = "RGB") -> Path:
        for label, name in enumerate(("ant", "bee", "cat")):
            folder = tmp_path.joinpath("images", *below, name)
            folder.mkdir(parents=True)
            for index in range(2):
                value = 100 * label + index
                Image.new(mode, size, value if mode == "L" else (value, 0, 7)).save(folder / f"{index}.png")
        return tmp_path / "images"

    return paint


def archive(path: Path, **changes: Any) -> str:
    arrays = {**digits(), **changes}
    np.savez(path / "data.npz", **{name: array for name, array in arrays.items() if array is not None})
    return f"npz:{path / 'data.npz'}"


def refused(source: str, base: Path = Path()) -> str:
    with pytest.raises(DataError) as caught:
        load_data(source, base)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_digits() -> None:
    data = load_data("digits")
    assert data.image_shape == (8, 8, 1)
    assert len(data.train_images) + len(data.test_images) == 1797
    assert data.label_names == tuple("0123456789")
    assert (data.train_images.min(), data.train_images.max()) == (0, 255)
    everything = np.concatenate([data.train_images, data.test_images])
    assert len(np.unique(everything)) == 17


def test_an_archive_is_read_as_it_is(tmp_path: Path) -> None:
    arrays = digits()
    archive(tmp_path)
    data = load_data("npz:data.npz", tmp_path)
    assert np.array_equal(data.train_images, arrays["train_images"])
    assert np.array_equal(data.test_labels, arrays["test_labels"])
    assert data.label_names[3] == "digit 3"


def test_an_archive_without_names_or_channels(tmp_path: Path) -> None:
    arrays = digits()
    changes = {f"{split}_images": arrays[f"{split}_images"][..., 0] for split in ("train", "test")}
    data = load_data(archive(tmp_path, label_names=None, **changes))
    assert data.image_shape == (8, 8, 1)
    assert data.label_names == tuple("0123456789")


def test_names_of_bytes_are_text(tmp_path: Path) -> None:
    names = np.array([f"digit {k}".encode() for k in range(10)])
    assert load_data(archive(tmp_path, label_names=names)).label_names[9] == "digit 9"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_labels": None, "test_images": None}, "lacks test_images, train_labels"),
        ({"train_labels": np.full(TRAIN, 10)}, "10, out of range for 10 classes"),
        ({"test_labels": np.full(TEST, -1)}, "test labels run from -1"),
        ({"train_labels": np.zeros(TRAIN)}, "float64: whole class numbers"),
        ({"train_labels": np.zeros(3, np.int64)}, "300 train images have labels of shape [3]"),
        ({"train_images": np.zeros((TRAIN, 8, 8, 1), np.float32)}, "float32 [300, 8, 8, 1]"),
        ({"train_images": np.zeros((TRAIN, 3, 8, 8), np.uint8)}, "[300, 3, 8, 8]"),
        ({"test_images": np.zeros((TEST, 8, 9, 1), np.uint8)}, "must have one shape"),
        ({"test_images": np.zeros((TEST, 0, 8, 1), np.uint8)}, "there are no test images"),
        ({"label_names": np.array("digit")}, "label_names"),
        ({"label_names": None, "train_labels": np.full(TRAIN, 2**32 - 1)}, "4294967295"),
        ({"label_names": np.array(["é".encode()] * 10)}, "not ASCII"),
    ],
)
def test_an_archive_that_cannot_be_used(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert said in refused(archive(tmp_path, **changes))


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_a_truncated_archive(keep: int, tmp_path: Path) -> None:
    archive(tmp_path)
    path = tmp_path / "data.npz"
    path.write_bytes(path.read_bytes()[:keep])
    assert "data.npz is not a readable .npz archive" in refused(f"npz:{path}")


def test_a_flipped_byte_in_an_archive(tmp_path: Path) -> None:
    archive(tmp_path)
    path = tmp_path / "data.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)
    assert "data.npz is not a readable" in refused(f"npz:{path}")


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("plain", [True, False])
def test_a_pickle_is_not_executed(plain: bool, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    if plain:
        (tmp_path / "data.npz").write_bytes(pickle.dumps(Malicious(marker)))
    else:
        archive(tmp_path, label_names=np.array([Malicious(marker)], object))
    assert "data.npz is not a readable" in refused("npz:data.npz", tmp_path)
    assert not marker.exists()


def test_a_folder_without_a_test_split(paint: Paint) -> None:
    data = load_data(f"folder:{paint()}")
    assert data.label_names == ("ant", "bee", "cat")
    assert data.image_shape == (4, 5, 3)
    assert len(data.train_images) == 5
    for images, labels in ((data.train_images, data.train_labels), (data.test_images, data.test_labels)):
        assert np.array_equal(images[:, 0, 0, 0] // 100, labels)


def test_a_folder_with_train_and_test(paint: Paint) -> None:
    paint("train", mode="L")
    data = load_data(f"folder:{paint('test', mode='L')}")
    assert data.image_shape == (4, 5, 1)
    assert len(data.train_images) == len(data.test_images) == 6
    assert np.array_equal(data.test_labels, [0, 0, 1, 1, 2, 2])


def test_photographs_are_turned_upright(paint: Paint) -> None:
    folder = paint()
    for path in folder.rglob("*.png"):
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: the camera was turned
        with Image.open(path) as image:
            image.save(path, exif=exif)
    assert load_data(f"folder:{folder}").image_shape == (5, 4, 3)


@pytest.mark.parametrize(
    ("content", "said"), [(b"no image", "is not a readable image"), (None, "is not a readable image")]
)
def test_an_unreadable_image(content: bytes | None, said: str, paint: Paint) -> None:
    bad = paint() / "bee" / "1.png"
    bad.write_bytes(bad.read_bytes()[:-30] if content is None else content)
    message = refused(f"folder:{bad.parents[1]}")
    assert f"{bad} {said}" in message


def test_an_image_of_another_size(paint: Paint) -> None:
    folder = paint()
    Image.new("RGB", (6, 4)).save(folder / "cat" / "0.png")
    message = refused(f"folder:{folder}")
    assert f"{folder / 'cat' / '0.png'} is 4x6x3" in message
    assert "4x5x3" in message


def test_an_image_of_16_bits(paint: Paint) -> None:
    folder = paint()
    Image.fromarray(np.full((4, 5), 40_000, np.uint16)).save(folder / "ant" / "0.png")
    assert "more than 8 bits" in refused(f"folder:{folder}")


def test_a_class_without_images(paint: Paint) -> None:
    folder = paint()
    (folder / "dog").mkdir()
    (folder / "dog" / "notes.txt").write_text("none yet")
    assert f"{folder / 'dog'} holds no images" in refused(f"folder:{folder}")


def test_a_test_class_that_training_lacks(paint: Paint) -> None:
    paint("train")
    folder = paint("test")
    (folder / "test" / "dog").mkdir()
    assert f"{folder / 'test' / 'dog'} is a class" in refused(f"folder:{folder}")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("npz:gone.npz", "there is no data file"),
        ("folder:gone", "there is no folder"),
        ("folder:.", "holds 0 folders"),
        ("npz:", "unknown data source 'npz:'"),
        ("mnist", "use digits, npz:PATH, folder:PATH or torchvision:NAME"),
    ],
)
def test_a_source_that_is_not_there(source: str, said: str, tmp_path: Path) -> None:
    assert said in refused(source, tmp_path)


def test_the_validation_split_is_disjoint_whole_and_fixed() -> None:
    train, validation = split_validation(100, 10, seed=1)
    assert len(validation) == 10
    assert sorted([*train, *validation]) == list(range(100))
    again = split_validation(100, 10, seed=1)
    assert np.array_equal(train, again[0])
    assert np.array_equal(validation, again[1])
    assert set(validation) != set(split_validation(100, 10, seed=2)[1])


def test_the_validation_split_is_the_one_of_bundles_already_built() -> None:
    assert split_validation(50, 5, seed=1)[1].tolist() == [27, 35, 40, 38, 2]


@pytest.mark.parametrize("count", [0, 100, 101])
def test_a_validation_split_that_leaves_nothing(count: int) -> None:
    with pytest.raises(DataError, match="validation images cannot be taken"):
        split_validation(100, count, seed=0)


def test_channel_moments() -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 3, 5, 3), np.uint8)
    images[..., 2] = 9
    mean, std = channel_moments(images)
    np.testing.assert_allclose(mean, images.mean((0, 1, 2)) / 255, rtol=1e-12)
    np.testing.assert_allclose(std, [*images[..., :2].std((0, 1, 2)) / 255, 1e-3], rtol=1e-12)


def test_the_digest_knows_every_pixel(tmp_path: Path) -> None:
    first = load_data(archive(tmp_path))
    arrays = digits()
    arrays["test_images"][0, 0, 0, 0] ^= 1
    second = Dataset(
        *(arrays[f"{s}_{k}"] for s in ("train", "test") for k in ("images", "labels")), ("",) * 10
    )
    assert first.digest != second.digest
    assert first.digest == load_data(archive(tmp_path)).digest
