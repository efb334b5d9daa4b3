"""When an answer need not wait for more partial logits."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from aggregator.errors import SettingsError
from protos import policies
from protos.policies import Kind

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Policy:
    """Raises SettingsError when it makes no sense.

    all: every student that was asked for. covered: one of each part that was asked for, so that whichever
    replica is first decides (hedged requests: Dean and Barroso, The Tail at Scale, 2013). quorum: so many.
    Whoever is lost or refuses on the way is not waited for.

    >>> Policy.parse("quorum=5")
    Policy(kind='quorum', quorum=5)
    """

    kind: Kind = "all"
    quorum: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(f"the policy must be all, covered or quorum=N, not {self.kind!r}")
        if (self.kind == "quorum") != (self.quorum > 0):
            raise SettingsError("a quorum is a number of students from 1 on, and goes with quorum=N alone")

    @classmethod
    def parse(cls, text: str) -> "Policy":
        try:
            return cls(*policies.parse(text))
        except ValueError as error:
            raise SettingsError(str(error)) from None

    def __str__(self) -> str:
        return f"quorum={self.quorum}" if self.kind == "quorum" else self.kind

    def met(self, parts: Sequence[int], answered: Collection[int], awaited: Iterable[int]) -> bool:
        """parts: of each student. answered, awaited: students that have answered, and that still may."""
        match self.kind:
            case "covered":
                covered = {parts[student] for student in answered}
                return all(parts[student] in covered for student in awaited)
            case "quorum":
                return len(answered) >= self.quorum
            case _:
                return not any(True for _ in awaited)


ALL: Final = Policy()
