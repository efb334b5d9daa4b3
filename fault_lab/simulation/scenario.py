"""All that is decided before a simulation begins: a value, drawn from a seed by `draw`."""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from aggregator import Settings
from aggregator.policy import Policy
from bundle import Fill
from fault_lab.simulation.network import GENTLE, Harshness
from fault_lab.simulation.toy import Shape


class Kind(enum.Enum):
    """What befalls a device or its way to the aggregator, for a while."""

    CRASH = "the process ends; its connection is closed by the system"
    POWER_LOSS = "the machine is gone without a word, so that its old link lingers"
    HANG = "the process is stopped; what arrives waits until it goes on"
    STUCK = "pings are answered, works are not"
    LIE = "partial logits are wrong, double, late, or of nothing that was asked"
    REFUSE = "every work is refused"
    BUSY = "every work is refused as one too many"
    SLOW = "everything takes so many times longer"
    LEAVE = "the device is told to stop: it finishes its works and says good-bye"
    BLACK_HOLE = "nothing passes in either direction"
    MUTE = "nothing passes from the device"
    DEAF = "nothing passes to the device"
    RESET = "the connection breaks, and both ends are told"
    LAG = "every message takes so many times longer"


@dataclass(frozen=True, slots=True)
class Fault:
    """device: its index. at, seconds: when it begins and how long it lasts. amount: what `kind` means by it.

    returns: a device that crashed or left comes back when the fault is over; if not, never.
    """

    kind: Kind
    device: int
    at: float
    seconds: float
    amount: float = 0.0
    returns: bool = True


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One machine. start: when its process starts. speed: 10^9 multiply-adds a second; told: if it says so.

    memory_bytes: 0 for plenty. rate: seconds of its own clock in a second. delay, jitter: of its way, in
    seconds. bandwidth: of either direction, in bytes a second. fetch, load: seconds for one student, beside
    what the way takes for its file. straggles: the chance that a student takes `straggling`
    times as long. failures: by (bundle number, student), how often in a row it cannot be loaded.
    """

    start: float
    speed: float
    told: bool
    memory_bytes: int
    rate: float
    delay: float
    jitter: float
    fetch: float
    load: float
    straggles: float
    straggling: float
    failures: Mapping[tuple[int, int], int] = field(default_factory=dict)
    bandwidth: float = math.inf


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. at: when it is sent, `delay` before it arrives. timeout: seconds from then on.

    cancel: seconds after its arrival. bundle: number of the one that it insists on; None: any.
    sound: its images are what the model takes.
    """

    at: float
    images: int
    delay: float
    timeout: float | None = None
    cancel: float | None = None
    strict: bool = False
    policy: Policy | None = None
    bundle: int | None = None
    sound: bool = True


@dataclass(frozen=True, slots=True)
class Order:
    """To load bundle `number`."""

    at: float
    number: int


@dataclass(frozen=True, slots=True)
class Pause:
    """The aggregator's process is held up for so many seconds; what arrives waits until it goes on."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """seconds: when all faults are over. drain: when the aggregator is told to stop, if before that.

    bundles: by number; the cluster begins with the first.
    """

    seed: int
    seconds: float
    settings: Settings
    bundles: tuple[Shape, ...]
    fill: Fill
    devices: tuple[DeviceSpec, ...]
    asks: tuple[Ask, ...]
    faults: tuple[Fault, ...] = ()
    orders: tuple[Order, ...] = ()
    harshness: Harshness = GENTLE
    drain: float | None = None
    pause: Pause | None = None
