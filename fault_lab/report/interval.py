"""How sure one can be of an accuracy that was observed on a few images."""

import math
from typing import Final

Z_99: Final = 2.5758293  # standard deviations either side that hold 99 % of a normal distribution


def interval(share: float, images: int) -> tuple[float, float]:
    """Wilson's 99 % interval of a share that was observed over so many images, as if drawn independently.

    Unlike share ± z·deviation it stays inside [0, 1] and has a width where all or none were right.
    """
    if images <= 0:
        return 0.0, 1.0
    square = Z_99**2 / images
    middle = (share + square / 2) / (1 + square)
    half = Z_99 / (1 + square) * math.sqrt(share * (1 - share) / images + square / (4 * images))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
