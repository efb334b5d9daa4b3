"""What became of one request."""

import enum
from dataclasses import dataclass


class Ending(enum.Enum):
    ANSWERED = "answered"
    REFUSED = "refused"
    """with a documented code"""
    UNREACHABLE = "unreachable"
    """nothing listened while the scenario had the aggregator down; or, with the code HELD_UP, the caller got
    no time of the processor itself around its deadline"""
    LOST = "lost"
    """neither of these, before its deadline"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """sent: seconds after the load has begun. seconds: until the outcome. code: of a refusal, or of what was
    said instead of one. right: of the images, so many were classified rightly; None without labels.
    expected_accuracy: as the answer told it. first: index of its first image; the others follow.
    """

    number: int
    sent: float
    seconds: float
    ending: Ending
    images: int = 1
    first: int = 0
    code: str = ""
    answered: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    expected_accuracy: float | None = None
    right: int | None = None
