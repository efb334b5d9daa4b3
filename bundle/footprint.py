"""What students take of a device's memory: estimated alike by who places them and by who is to hold them.

Measured with ONNX Runtime 1.32 on x86-64, wide residual networks of 0.03 to 11 MB on images of 8x8 to 96x96
pixels: loading one takes up to 3.8 times its file for a moment, and 59 to 100 bytes of activations stay for
each byte of the largest batch that it computes at once.
"""

import math
from collections.abc import Sequence
from typing import Final

# Images that a device computes at once. On WRN-16-1 larger runs are no faster, and one of 64 takes 23 MB
# more.
LARGEST_RUN: Final = 16
# A device without students: Python, gRPC, numpy. And what ONNX Runtime takes once, with the first student.
PROCESS_BYTES: Final = 55_000_000
RUNTIME_BYTES: Final = 40_000_000

_SESSION_BYTES: Final = 1_000_000
_COPIES_OF_FILE: Final = 4
_ACTIVATIONS: Final = 128  # bytes for each byte of the images of a run


def student_bytes(file_bytes: int, image_shape: Sequence[int]) -> int:
    """Of one student, beside the runtime; image_shape: height, width, channels, in bytes."""
    return _SESSION_BYTES + _COPIES_OF_FILE * file_bytes + _ACTIVATIONS * LARGEST_RUN * math.prod(image_shape)
