"""What a cluster must answer: every student's partial logits for the images, computed here, offline."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle
from device_node.students import Student

CACHED_MERGES: Final = 64
CHUNK: Final = 64  # images


class Truth:
    """images uint8 [N, H, W, C]; labels [N] or None. A run asks about these images and no others."""

    def __init__(
        self,
        bundle: Bundle,
        images: NDArray[np.uint8],
        labels: NDArray[np.integer[Any]] | None = None,
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        """Raises InputError for images that the bundle does not take. `progress`: called for each student."""
        bundle.manifest.input.check(images)
        self.bundle = bundle
        self.images = images
        self.labels = labels
        self._partials = [self._compute(entry.index, progress) for entry in bundle.manifest.students]
        self._merged = lru_cache(CACHED_MERGES)(self._merge)

    @property
    def students(self) -> int:
        return len(self._partials)

    def logits(self, answered: tuple[int, ...], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The offline merge of exactly these students, for these images."""
        merged: NDArray[np.float32] = self._merged(answered)[rows]
        return merged

    def right(self, logits: NDArray[np.float32], rows: NDArray[np.intp]) -> int | None:
        """How many of these images the logits classify rightly; None without labels."""
        if self.labels is None:
            return None
        return int((logits.argmax(axis=1) == self.labels[rows]).sum())

    def _compute(self, student: int, progress: Callable[[], object]) -> NDArray[np.float32]:
        session = Student(self.bundle.student_bytes(student), threads=1)
        starts = range(0, len(self.images), CHUNK)
        partials = np.concatenate([session.compute(self.images[start : start + CHUNK]) for start in starts])
        progress()
        return partials

    def _merge(self, answered: tuple[int, ...]) -> NDArray[np.float32]:
        return self.bundle.merger.merge({student: self._partials[student] for student in answered})
