"""What a device process is told to do wrong."""

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from fault_lab.control_file import build

WAYS: Final = ("corrupt", "nan", "wrong_shape", "late", "duplicate", "refuse", "mute")


@dataclass(frozen=True, slots=True)
class Answers:
    """type: one of WAYS. toxicity: the chance of it for each answer. delay: seconds that it is late by.

    seed: of what is left to chance; an answer's own is drawn from it, its work and its student.
    """

    type: str
    toxicity: float = 1.0
    delay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.type not in WAYS:
            raise ValueError(f"{self.type!r} is none of {', '.join(WAYS)}")
        if not 0 <= self.toxicity <= 1:
            raise ValueError(f"toxicity must be a chance from 0 to 1, not {self.toxicity}")
        if not 0 <= self.delay < math.inf:
            raise ValueError(f"delay must be a number of seconds from 0 on, not {self.delay}")
        if not isinstance(self.seed, int):
            raise ValueError(f"seed must be a whole number, not {self.seed!r}")


@dataclass(frozen=True, slots=True)
class Mischief:
    """slow: computing takes so many times as long. clock: seconds that the device's clocks are ahead."""

    slow: float = 1.0
    answers: Answers | None = None
    disk_full: bool = False
    clock: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.slow < math.inf:
            raise ValueError(f"slow must be a factor from 1 on, not {self.slow}")
        if not 0 <= self.clock < math.inf:
            raise ValueError(f"clock must be a number of seconds from 0 on, not {self.clock}")
        if not isinstance(self.disk_full, bool):
            raise ValueError(f"disk_full is true or false, not {self.disk_full!r}")


HONEST: Final = Mischief()


def read_mischief(document: Any) -> Mischief:
    """From the JSON object in a control file. Raises ValueError and TypeError."""
    mischief = build(Mischief, document)
    answers: Any = mischief.answers
    return mischief if answers is None else replace(mischief, answers=build(Answers, answers))
