"""What can go wrong: one class a fault. The words are Toxiproxy's where it has them."""

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field

from fault_lab.scenario.fault import AnyFault as AnyFault
from fault_lab.scenario.fault import Chance, Group, PositiveSeconds, Seconds, Stream


class Kill(AnyFault):
    """the process ends at once (SIGKILL), and is started again when the fault is over"""

    group = Group.LIFE
    type: Literal["kill"]


class Restart(AnyFault):
    """the process ends at once, and is started again immediately"""

    group, instant = Group.LIFE, True
    type: Literal["restart"]


class Pause(AnyFault):
    """the process hangs (SIGSTOP): its connections stay, and nothing answers"""

    group = Group.LIFE
    type: Literal["pause"]


class Latency(AnyFault):
    """every byte is `latency` seconds longer under way, varying by `jitter` either way"""

    group = Group.DELAY
    type: Literal["latency"]
    latency: PositiveSeconds
    jitter: Seconds = 0.0
    stream: Stream = "both"


class Bandwidth(AnyFault):
    """at most `rate` bytes a second pass"""

    group = Group.BANDWIDTH
    type: Literal["bandwidth"]
    rate: Annotated[float, Field(gt=0, strict=True)]
    stream: Stream = "both"


class Timeout(AnyFault):
    """a black hole: connections stay open, and nothing passes; `stream` names one direction"""

    group = Group.PASSAGE
    type: Literal["timeout"]
    stream: Stream = "both"


class Down(AnyFault):
    """the link is cut: connections end, and none can be made"""

    group = Group.PASSAGE
    type: Literal["down"]


class ResetPeer(AnyFault):
    """connections break with a TCP reset; new ones can be made at once"""

    group, instant = Group.PASSAGE, True
    type: Literal["reset_peer"]


class Flapping(AnyFault):
    """the link is cut for `down` seconds and whole for `up` seconds, again and again"""

    group = Group.PASSAGE
    type: Literal["flapping"]
    up: PositiveSeconds
    down: PositiveSeconds


class Slow(AnyFault):
    """every computation takes `factor` times as long"""

    group = Group.SPEED
    type: Literal["slow"]
    factor: Annotated[float, Field(gt=1, strict=True)]


class Refuse(AnyFault):
    """works are refused"""

    group = Group.ANSWERS
    type: Literal["refuse"]
    toxicity: Chance = 1.0


class Corrupt(AnyFault):
    """partial logits are random numbers of a sound shape"""

    group = Group.ANSWERS
    type: Literal["corrupt"]
    toxicity: Chance = 1.0


class Nan(AnyFault):
    """partial logits are not numbers"""

    group = Group.ANSWERS
    type: Literal["nan"]
    toxicity: Chance = 1.0


class WrongShape(AnyFault):
    """partial logits have a class too few"""

    group = Group.ANSWERS
    type: Literal["wrong_shape"]
    toxicity: Chance = 1.0


class Late(AnyFault):
    """partial logits come `delay` seconds late"""

    group = Group.ANSWERS
    type: Literal["late"]
    delay: PositiveSeconds
    toxicity: Chance = 1.0


class Duplicate(AnyFault):
    """partial logits come twice"""

    group = Group.ANSWERS
    type: Literal["duplicate"]
    toxicity: Chance = 1.0


class Mute(AnyFault):
    """pings are answered, works are not"""

    group = Group.ANSWERS
    type: Literal["mute"]


class DiskFull(AnyFault):
    """the device's disk takes no more"""

    group = Group.DISK
    type: Literal["disk_full"]


class DamagedCache(AnyFault):
    """the students on the device's disk are damaged, and its process is started again"""

    group, instant = Group.LIFE, True
    type: Literal["damaged_cache"]


class ClockJump(AnyFault):
    """the device's clock jumps forward by `seconds`"""

    group, instant = Group.CLOCK, True
    type: Literal["clock_jump"]
    seconds: PositiveSeconds


class AggregatorRestart(AnyFault):
    """the aggregator's process ends at once, and is started again when the fault is over"""

    group, of_aggregator = Group.LIFE, True
    type: Literal["aggregator_restart"]


class AggregatorPause(AnyFault):
    """the aggregator's process hangs"""

    group, of_aggregator = Group.LIFE, True
    type: Literal["aggregator_pause"]


Fault = Annotated[
    Kill
    | Restart
    | Pause
    | Latency
    | Bandwidth
    | Timeout
    | Down
    | ResetPeer
    | Flapping
    | Slow
    | Refuse
    | Corrupt
    | Nan
    | WrongShape
    | Late
    | Duplicate
    | Mute
    | DiskFull
    | DamagedCache
    | ClockJump
    | AggregatorRestart
    | AggregatorPause,
    Field(discriminator="type"),
]


def _by_type() -> dict[str, type[AnyFault]]:
    kinds: Any = get_args(get_args(Fault)[0])
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in kinds}


FAULTS: Final = _by_type()
