"""What a cluster has to answer, computed here by ONNX Runtime from the same students."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bundle import Bundle
from fault_lab.local_cluster import Status
from nonn import Answer


@dataclass
class Offline:
    bundle: Bundle
    sessions: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = [
            onnxruntime.InferenceSession(
                self.bundle.student_bytes(student.index), providers=["CPUExecutionProvider"]
            )
            for student in self.bundle.manifest.students
        ]

    @property
    def everyone(self) -> set[int]:
        return set(range(len(self.sessions)))

    def logits(self, images: NDArray[np.uint8], students: Iterable[int]) -> NDArray[np.float32]:
        """[N, K], merged from exactly these students."""
        return self.bundle.merger.merge(
            {student: self.sessions[student].run(None, {"images": images})[0] for student in students}
        )

    def check(self, answer: Answer, images: NDArray[np.uint8]) -> None:
        """The answer is the merge of exactly the students that it names, and says the truth about itself."""
        assert answer.answered
        assert set(answer.answered) | set(answer.missing) == self.everyone
        assert not set(answer.answered) & set(answer.missing)
        assert answer.degraded == bool(answer.missing)
        assert answer.bundle == self.bundle.manifest.id
        np.testing.assert_allclose(answer.logits, self.logits(images, answer.answered), atol=1e-4, rtol=1e-5)
        names = [self.bundle.manifest.labels[index] for index in answer.logits.argmax(axis=1)]
        assert list(answer.labels) == names
        expected = self.bundle.expected_accuracy(answer.answered)
        np.testing.assert_allclose(answer.expected_accuracy, expected, atol=1e-6)


def students_of(status: Status, name: str) -> set[int]:
    """The students that the device of this name serves."""
    return {student for device in status.devices if device.name == name for student in device.serving}
