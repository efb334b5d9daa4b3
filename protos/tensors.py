"""Between numpy arrays and the protocol's dense little-endian tensors."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protos import nonn_pb2

_DTYPES: Final[dict[nonn_pb2.DataType, np.dtype[Any]]] = {
    nonn_pb2.UINT8: np.dtype("u1"),
    nonn_pb2.FLOAT32: np.dtype("<f4"),
}
_TYPES: Final = {dtype: kind for kind, dtype in _DTYPES.items()}


def encode(array: NDArray[Any]) -> nonn_pb2.Tensor:
    """A uint8 or float32 array of any shape as a message; KeyError for another dtype."""
    kind = _TYPES[array.dtype]
    return nonn_pb2.Tensor(type=kind, shape=array.shape, data=array.tobytes())


def decode(tensor: nonn_pb2.Tensor, kind: nonn_pb2.DataType, dimensions: int) -> NDArray[Any]:
    """A read-only view of the message's bytes. ValueError when type, rank or number of bytes are wrong."""
    if tensor.type != kind:
        raise ValueError(f"tensor type {tensor.type}, expected {kind}")
    shape = tuple(tensor.shape[:])  # iterating over the field itself takes three times as long
    if len(shape) != dimensions:
        raise ValueError(f"tensor of shape {list(shape)}, expected {dimensions} dimensions")
    dtype, data = _DTYPES[kind], tensor.data
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"tensor of shape {list(shape)} with {len(data)} bytes of data")
    return np.ndarray(shape, dtype, data)
