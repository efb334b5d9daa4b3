"""What became of one host."""

from dataclasses import dataclass
from enum import StrEnum

from nonn.deploy.plan import Action


class Result(StrEnum):
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    PLANNED = "planned"
    REMOVED = "removed"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True)
class Outcome:
    """actions: done, or to be done when only planned. device: state that the aggregator sees, or empty.

    problem: what went wrong, and in what state the host is left. remark: what is worth knowing besides.
    """

    host: str
    result: Result
    actions: tuple[Action, ...] = ()
    version: str = ""
    device: str = ""
    problem: str = ""
    remark: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not self.problem
