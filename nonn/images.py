"""Image files as a network takes them."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bundle import InputError, InputSpec
from nonn.exchange import as_batch, as_uint8

_MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}


def load_images(path: Path, spec: InputSpec) -> NDArray[np.uint8]:
    """One picture, or the image or images of a .npy file, as uint8 [N, height, width, channels].

    Pictures are converted to the channels and resized, whatever their proportions; arrays must fit as they
    are. Raises InputError naming the file.
    """
    try:
        if path.suffix == ".npy":
            return as_batch(as_uint8(np.load(path, allow_pickle=False)), spec)
        return _load_picture(path, spec)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not readable as an image ({error})") from None


def _load_picture(path: Path, spec: InputSpec) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    if spec.channels not in _MODES:
        raise InputError(f"the network takes {spec.channels} channels: give a .npy file")
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert(_MODES[spec.channels])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, SyntaxError) as error:
        raise InputError(f"not readable as an image ({error})") from None
    resized = upright.resize((spec.width, spec.height), Image.Resampling.BICUBIC)
    return as_batch(np.asarray(resized, dtype=np.uint8).reshape(1, *spec.shape), spec)
