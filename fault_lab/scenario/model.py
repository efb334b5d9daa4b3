"""What a scenario file may say."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from fault_lab.proxy import LINKS
from fault_lab.scenario.fault import PositiveSeconds, Seconds, Section
from fault_lab.scenario.faults import Fault
from protos import policies

MOST_DEVICES = 64


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("no path has a NUL character in it")
    return text


PathText = Annotated[str, AfterValidator(_no_nul)]


class Cluster(Section):
    devices: Annotated[int, Field(gt=0, le=MOST_DEVICES, strict=True)] = 8
    bundle: PathText | None = None
    """A folder, counted from the scenario file; the digits sample when left out."""
    link: str | None = None
    """ethernet, wifi or slow: what every device's link is like without faults; loopback when left out."""
    heal_after: Seconds | Literal["never"] = 2.0
    """How long a lost device's students wait for it before others take them over."""
    ping: PositiveSeconds = 0.5
    queue: Annotated[int, Field(gt=0, strict=True)] = 256
    memory_mb: Annotated[int, Field(gt=0, strict=True)] | None = None
    """For students, of each device."""

    @field_validator("link")
    @classmethod
    def _known(cls, link: str | None) -> str | None:
        if link is not None and link not in LINKS:
            raise ValueError(f"{link!r} is none of {', '.join(LINKS)}")
        return link

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"device-{index}" for index in range(self.devices))


class Load(Section):
    """rate: requests a second, however long answers take (open loop). clients: so many callers, each asking
    `pause` seconds after its last outcome (closed loop). One of the two.
    """

    rate: Annotated[float, Field(gt=0, le=10_000, strict=True)] | None = None
    clients: Annotated[int, Field(gt=0, le=1000, strict=True)] | None = None
    pause: Seconds = 0.02
    images: Annotated[int, Field(gt=0, le=64, strict=True)] = 1
    """In each request."""
    data: PathText | None = None
    """digits, npz:PATH or folder:PATH, whose test images are asked about; the bundle's own when left out."""
    deadline: PositiveSeconds = 2.0
    strict: Annotated[bool, Field(strict=True)] = False
    policy: str = "all"

    @field_validator("policy")
    @classmethod
    def _policy(cls, policy: str) -> str:
        policies.parse(policy)
        return policy

    @model_validator(mode="after")
    def _one_loop(self) -> Self:
        if (self.rate is None) == (self.clients is None):
            raise ValueError("give either rate = REQUESTS A SECOND or clients = NUMBER")
        return self


class Scenario(Section):
    name: str
    base: Path
    """The folder that paths count from."""
    summary: Annotated[str, Field(min_length=1)]
    """One sentence: what it shows."""
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0
    seconds: Annotated[float, Field(gt=0, le=86_400, strict=True)]
    """For which the load lasts; every fault is over by then."""
    recovery: PositiveSeconds = 20.0
    """In which the cluster has to be whole again after the last fault."""
    cluster: Cluster = Cluster()
    load: Load
    fault: tuple[Fault, ...] = ()

    @field_validator("fault", mode="before")
    @classmethod
    def _tables(cls, faults: Any) -> Any:
        tables = isinstance(faults, list | tuple) and all(isinstance(each, dict | Section) for each in faults)
        if not tables:
            raise ValueError("write each fault as a table of its own, below a line [[fault]]")
        return faults
