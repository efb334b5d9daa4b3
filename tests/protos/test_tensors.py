import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from protos import nonn_pb2, tensors

_SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@given(arrays.arrays(np.uint8, _SHAPES) | arrays.arrays(np.float32, _SHAPES))
def test_arrays_survive_the_wire(array: np.ndarray) -> None:
    message = nonn_pb2.Tensor.FromString(tensors.encode(array).SerializeToString())
    kind = nonn_pb2.UINT8 if array.dtype == np.uint8 else nonn_pb2.FLOAT32
    decoded = tensors.decode(message, kind, array.ndim)
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, array)


def test_a_view_that_is_not_contiguous_is_sent_in_row_major_order() -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4).T
    np.testing.assert_array_equal(tensors.decode(tensors.encode(array), nonn_pb2.UINT8, 2), array)


def test_other_dtypes_have_no_message() -> None:
    with pytest.raises(KeyError):
        tensors.encode(np.zeros(3, np.float64))


@given(
    st.sampled_from([nonn_pb2.DATA_TYPE_UNSPECIFIED, nonn_pb2.UINT8, nonn_pb2.FLOAT32, 99]),
    st.lists(st.integers(0, 2**32 - 1), max_size=5),
    st.binary(max_size=64),
)
def test_whatever_arrives_is_a_tensor_or_a_value_error(kind: int, shape: list[int], data: bytes) -> None:
    message = nonn_pb2.Tensor(type=kind, shape=shape, data=data)  # type: ignore[arg-type]
    try:
        found = tensors.decode(message, nonn_pb2.FLOAT32, 2)
    except ValueError:
        return
    assert kind == nonn_pb2.FLOAT32
    assert list(found.shape) == shape
    assert found.nbytes == len(data)
