"""The same students run by ONNX Runtime alone, in this process: what a cluster is held against."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bundle import Bundle

CORES = 2


def session(bundle: Bundle, student: int, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin take the cores from the next session: with it, OneByOne is several times slower.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        bundle.student_bytes(student), options, providers=["CPUExecutionProvider"]
    )


class SideBySide:
    """All students of a batch: each of two threads runs half of them, one after another."""

    batches = 1

    def __init__(self, bundle: Bundle) -> None:
        students = range(len(bundle.manifest.students))
        self._sessions = [session(bundle, student, 1) for student in students]
        self._pool = ThreadPoolExecutor(CORES)

    def __call__(self, images: NDArray[np.uint8]) -> None:
        shares = [self._sessions[start::CORES] for start in range(CORES)]
        for done in [self._pool.submit(_run, share, images) for share in shares]:
            done.result()


class OneByOne:
    """All students of a batch, one after another, each on two threads of ONNX Runtime's."""

    batches = 1

    def __init__(self, bundle: Bundle) -> None:
        students = range(len(bundle.manifest.students))
        self._sessions = [session(bundle, student, CORES) for student in students]

    def __call__(self, images: NDArray[np.uint8]) -> None:
        _run(self._sessions, images)


class Independent:
    """Two batches at a time, each by a thread of its own that runs all students."""

    batches = CORES

    def __init__(self, bundle: Bundle) -> None:
        students = range(len(bundle.manifest.students))
        self._sessions = [[session(bundle, student, 1) for student in students] for _ in range(CORES)]
        self._pool = ThreadPoolExecutor(CORES)

    def __call__(self, images: NDArray[np.uint8]) -> None:
        wait([self._pool.submit(_run, sessions, images) for sessions in self._sessions])


def _run(sessions: Sequence[Any], images: NDArray[np.uint8]) -> None:
    for each in sessions:
        each.run(None, {"images": images})
