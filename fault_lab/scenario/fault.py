"""What all faults have in common: whom they hit, when, and what they decide."""

import enum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# Strict: neither `true` nor "1" is a number.
Seconds = Annotated[float, Field(ge=0, strict=True)]
PositiveSeconds = Annotated[float, Field(gt=0, strict=True)]
Chance = Annotated[float, Field(gt=0, le=1, strict=True)]
Stream = Literal["both", "upstream", "downstream"]


class Group(enum.Enum):
    """Two faults of one group contradict each other on one device at one time."""

    LIFE = "whether the process runs"
    PASSAGE = "whether anything passes on the link"
    DELAY = "how long bytes are under way"
    BANDWIDTH = "how many bytes pass in a second"
    SPEED = "how fast it computes"
    ANSWERS = "what it answers"
    DISK = "what its disk takes"
    CLOCK = "what its clock shows"


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AnyFault(Section):
    """target: `device-3`, a pattern such as `device-[0-3]`, `part 1` (the devices that serve it when the load
    begins), `random 4`, `all`, or a list of these. at: seconds after the load has begun. duration: seconds
    until it is over; until the load ends when left out. every, times: again so many seconds later, so many
    times in all. stagger: seconds from one target to the next.
    """

    group: ClassVar[Group]
    instant: ClassVar[bool] = False  # it begins and is over at once, so that it takes no `duration`
    of_aggregator: ClassVar[bool] = False  # so that it takes no `target`

    type: str
    target: str | tuple[str, ...] = ()
    at: Seconds
    duration: PositiveSeconds | None = None
    every: PositiveSeconds | None = None
    times: Annotated[int, Field(gt=0, le=1000, strict=True)] = 1
    stagger: Seconds = 0.0

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target

    @field_validator("target", mode="before")
    @classmethod
    def _text(cls, target: Any) -> Any:
        if all(isinstance(each, str) for each in (target if isinstance(target, list | tuple) else [target])):
            return target
        raise ValueError("name a target or a list of targets, each in quotation marks")

    @model_validator(mode="after")
    def _sound(self) -> "AnyFault":
        if self.of_aggregator and self.target:
            raise ValueError(f"{self.type} takes no target: there is one aggregator")
        if not self.of_aggregator and not self.targets:
            raise ValueError(
                "target: name one: all, a device such as device-3, a pattern such as device-[0-3], part N "
                "or random N"
            )
        if self.instant and self.duration is not None:
            raise ValueError(f"duration: {self.type} is over at once, so it takes none")
        if (self.times > 1) != (self.every is not None):
            raise ValueError("every and times go together: again so many seconds later, so many times in all")
        if self.every is not None and not self.instant:
            if self.duration is None:
                raise ValueError("duration: what comes again has to be over first: give one below every")
            if self.duration >= self.every:
                raise ValueError(
                    f"duration: {self.duration:g} s is not over when it comes again every {self.every:g} s"
                )
        return self
