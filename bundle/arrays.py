"""Arrays <-> the bytes of an .npz file; neither way ever touches a pickle."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The same arrays always give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes, largest: int) -> dict[str, NDArray[Any]]:
    """largest: bytes of all arrays, since a few kilobytes can claim to hold terabytes.

    Raises ValueError for anything but a sound .npz file of plain arrays.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > largest:
            raise ValueError(f"it unpacks to {size} bytes; at most {largest} are read")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: _plain(name, archive[name]) for name in archive.files}
    except Exception as error:  # the parsers of zip files and array headers let through errors of many kinds
        reason = " ".join(str(error).split())
        raise ValueError(f"not a sound .npz file of plain arrays: {reason}") from error


def take(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: type[np.generic], shape: tuple[int | None, ...]
) -> NDArray[Any]:
    """The array of that name. Raises ValueError unless dtype and shape are as given; None is any length."""
    if name not in arrays:
        raise ValueError(f"the array {name!r} is missing")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = f"{dtype.__name__} [{', '.join('n' if want is None else str(want) for want in shape)}]"
        raise ValueError(f"{name!r} must be {wanted}, not {array.dtype} {list(array.shape)}")
    return array


def only(arrays: Mapping[str, NDArray[Any]], names: set[str]) -> None:
    """Raises ValueError for an array of another name."""
    for name in sorted(set(arrays) - names):
        raise ValueError(f"the array {name!r} does not belong there")


def _plain(name: str, value: Any) -> NDArray[Any]:
    if not isinstance(value, np.ndarray):  # np.load hands over members without an array's header as bytes
        raise ValueError(f"{name!r} is not an array")
    return value
