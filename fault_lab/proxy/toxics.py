"""What one direction of a link does to the bytes on it. The words are Toxiproxy's where it has them."""

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Toxics:
    """latency: seconds that every byte is under way. jitter: seconds that this varies by, either way.

    bandwidth: bytes a second. timeout: nothing passes, as when a cable is cut: what was sent meanwhile comes
    through when the toxic is taken away, as TCP would repeat it. Raises ValueError for what no link does.
    """

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float = math.inf
    timeout: bool = False

    def __post_init__(self) -> None:
        for name in ("latency", "jitter"):
            seconds = getattr(self, name)
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{name} must be a number of seconds from 0 on, not {seconds}")
        if not self.bandwidth > 0:
            raise ValueError(f"bandwidth must be a positive number of bytes a second, not {self.bandwidth}")


CLEAN: Final = Toxics()
