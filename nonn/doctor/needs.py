"""What a bundle's students take, from their files alone."""

from collections.abc import Iterable, Sequence
from typing import Any

from bundle.footprint import student_bytes


def needs_of(name: str, file_bytes: Iterable[int], image_shape: Sequence[int]) -> dict[str, Any]:
    """The fields of `nonn.doctor.facts.Needs`."""
    sizes = list(file_bytes)
    return {
        "of": name,
        "students": len(sizes),
        "student": student_bytes(max(sizes), image_shape),
        "files": sum(sizes),
    }
