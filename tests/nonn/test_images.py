from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle import InputError, InputSpec
from nonn.images import load_images

COLOUR, GREY = InputSpec(6, 4, 3), InputSpec(8, 8, 1)


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_images(tmp_path / "a.png", COLOUR), pixels[None])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("spec", [COLOUR, GREY, InputSpec(5, 5, 4)])
def test_any_mode_and_size_is_converted(tmp_path: Path, mode: str, spec: InputSpec) -> None:
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.new(mode, (50, 30)).save(path)
    loaded = load_images(path, spec)
    assert loaded.dtype == np.uint8
    assert loaded.shape == (1, *spec.shape)


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 3  # held upside down
    picture.save(tmp_path / "a.png", exif=exif)
    loaded = load_images(tmp_path / "a.png", InputSpec(2, 4, 3))[0]
    assert loaded[1, 3].tolist() == [255, 255, 255]
    assert loaded[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(5, 8, 8, 1), (8, 8, 1), (8, 8)])
def test_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(load_images(tmp_path / "a.npy", GREY), array.reshape(-1, 8, 8, 1))


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "float.npy", np.zeros((8, 8), np.float32))
    np.save(tmp_path / "shape.npy", np.zeros((7, 8), np.uint8))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "float.npy").read_bytes()[:90])
    (tmp_path / "empty.npy").touch()
    (tmp_path / "text.png").write_text("not a picture")
    Image.new("RGB", (300, 300), "red").save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:120])
    (tmp_path / "folder.png").mkdir()
    for name in ("float.npy", "shape.npy", "pickle.npy", "cut.npy", "empty.npy"):
        with pytest.raises(InputError, match=name):
            load_images(tmp_path / name, GREY)
    for name in ("text.png", "cut.png", "folder.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            load_images(tmp_path / name, GREY)


def test_a_picture_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (200, 200)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"bomb\.png"):
        load_images(tmp_path / "bomb.png", GREY)


def test_channels_that_no_picture_has(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"give a \.npy file"):
        load_images(tmp_path / "a.png", InputSpec(8, 8, 2))
