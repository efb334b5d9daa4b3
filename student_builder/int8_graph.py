"""A student's graph -> the same graph in int8, by static quantisation with ONNX Runtime.

What is int8, and why. On samples/cifar100-wrn (8 students, 256 calibration images, 2,500 validation images):
the error of the partial logits against fp32, in shares of their standard deviation, and the largest loss of
accuracy over all 255 subsets of students, in points.

    every convolution but the first, with its ReLU: chosen               0.018   0.44
    that, and the residual sums                                          0.026   0.60
    every convolution but the first                                      0.023   0.52
    that, and the first                                                  0.026   0.68
    that, and the last layer, without the first convolution              0.033   0.72
    sums, and batch norms after them as depthwise convolutions           0.038   0.88

What stays in fp32 costs little: the first convolution has 2 % of the multiply-adds, the last layer less than
0.1 %. Batch norms that follow a convolution are part of it already; those after a residual sum cannot be.
Ranges go from minimum to maximum; by entropy they came out the same, by the 99.99th percentile the error was
0.034 instead of 0.023.

Weights are signed with no zero point, activations signed with one. Signed by signed is what ONNX Runtime's
kernels for ARM take as it is: without dot products (Cortex-A72) two products are added in 16 bits, which
weights from -127 to 127 cannot overflow; with them (Cortex-A76) all is 32 bits. On x86 it makes activations
unsigned when it loads the graph. There, without VNNI, sums of two products saturate unless `EXACT_ON_X86` is
set. Weights of 7 bits would never saturate, but cost every board accuracy: 0.030 instead of 0.023.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from student_builder.onnx_export import strip

BATCH: Final = 64
QUANTISED: Final = ("Conv", "Relu")


def quantise(model: bytes, images: NDArray[np.uint8]) -> bytes:
    """The int8 twin of a student's ONNX file, its ranges taken from what these images give rise to.

    images: uint8 [N, H, W, C]. The same input gives the same bytes.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="nonn-int8-") as name:
        source, prepared, result = (Path(name) / file for file in ("fp32.onnx", "prepared.onnx", "int8.onnx"))
        source.write_bytes(model)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            result,
            _reader(images),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_first_convolution(onnx.load(prepared)),
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        twin = onnx.load(result)
    strip(twin)
    data: bytes = twin.SerializeToString(deterministic=True)
    return data


def _first_convolution(model: Any) -> list[str]:
    return [node.name for node in model.graph.node if node.op_type == "Conv"][:1]


def _reader(images: NDArray[np.uint8]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[NDArray[np.uint8]] = (
                images[start : start + BATCH] for start in range(0, len(images), BATCH)
            )

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"images": batch}

    return Batches()
