"""What the probes find out: plain values, so that checks can be tried for boards that are not at hand."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Processor:
    """name: the core's or the processor's. board: as the device tree says, or empty. cores: usable ones.

    features: as /proc/cpuinfo names them; empty when it does not tell.
    """

    machine: str
    name: str
    board: str
    cores: int
    features: frozenset[str]


@dataclass(frozen=True, slots=True)
class Power:
    """celsius: of the hottest sensor. throttled: the firmware's bits. None: not told."""

    celsius: float | None
    throttled: int | None


@dataclass(frozen=True, slots=True)
class Disk:
    """Where the device would keep its state. free: bytes, None when that cannot be said."""

    folder: str
    free: int | None
    writable: bool


@dataclass(frozen=True, slots=True)
class Child:
    """How a child that probed something ended: by itself, by a signal, or too late. error: its last words."""

    signal: int | None = None
    timed_out: bool = False
    error: str = ""

    @property
    def fine(self) -> bool:
        return self.signal is None and not self.timed_out and not self.error


@dataclass(frozen=True, slots=True)
class Needs:
    """of: whose. students: how many. student: bytes of memory that the largest takes. files: bytes of all."""

    of: str
    students: int
    student: int
    files: int


@dataclass(frozen=True, slots=True)
class Trial:
    """ONNX Runtime in a child. version: as installed, empty when it is not. imported, passed: it came so far.

    passed: students whose self-test it met; images of `image_seconds` each. peak: bytes resident.
    offered: bytes that a device would offer to students here; 0 when the system does not say.
    """

    version: str
    child: Child
    imported: bool = False
    needs: Needs | None = None
    passed: int = 0
    image_seconds: float = 0.0
    peak: int = 0
    offered: int = 0


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """error: why the folder cannot be used; the rest is of no meaning then."""

    error: str = ""
    name: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """The aggregator as seen from here. error: why it was not reached, with NoNN's exit code for that.

    ahead: seconds that its clock is ahead of ours, give or take `unsure`; None when it does not say.
    round_trip: seconds, of the smallest call; None when none was answered: where there is no error either,
    none was made, since the certificate cannot be used. fetched: bytes in `seconds`; 0 when nothing could be.
    """

    address: str
    child: Child = field(default_factory=Child)
    error: str = ""
    code: int = 0
    needs: Needs | None = None
    ahead: float | None = None
    unsure: float = 0.0
    round_trip: float | None = None
    fetched: int = 0
    seconds: float = 0.0
