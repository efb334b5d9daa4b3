"""A simulated Join stream, and its ends."""

from typing import TYPE_CHECKING, Any, Protocol

from aggregator import events
from fault_lab.simulation.network import Stream

if TYPE_CHECKING:
    from fault_lab.simulation.device import Device

KEEPALIVE = 30.0  # seconds after which gRPC finds out that the other end is gone without a word


class End:
    """The last message of a stream: it is over."""


END = End()


class Aggregator(Protocol):
    """What a device can reach of the other side."""

    def accept(self, connection: "Connection", facts: events.DeviceFacts) -> None: ...
    def hear(self, connection: "Connection", event: events.DeviceEvent) -> None: ...
    def end(self, connection: "Connection") -> None: ...


class Connection:
    """A Join stream. link: its number, once the aggregator has accepted it."""

    def __init__(self, device: "Device", aggregator: Aggregator) -> None:
        self.link = 0
        self.device = device
        self._aggregator = aggregator
        self.up = Stream(device.up, self._reach_aggregator)
        self.down = Stream(device.down, self._reach_device)

    def say(self, message: events.DeviceEvent) -> None:
        self.up.send(message)

    def close_by_device(self) -> None:
        self.down.cut()
        self.up.send(END, faithful=True)

    def close_by_aggregator(self) -> None:
        self.up.cut()
        self.down.send(END, faithful=True)

    def vanish(self) -> None:
        """The device's end is no more, and nobody has told the aggregator."""
        self.up.cut()
        self.down.cut()
        self.device.clock.after(KEEPALIVE, self._aggregator.end, self)

    def reset(self) -> None:
        """Both ends are told at once."""
        self.up.cut()
        self.down.cut()
        self._aggregator.end(self)
        self.device.process.do(self.device.ended, self)

    def _reach_aggregator(self, message: events.DeviceFacts | events.DeviceEvent | End) -> None:
        if isinstance(message, events.DeviceFacts):
            self._aggregator.accept(self, message)
        elif isinstance(message, End):
            self._aggregator.end(self)
        else:
            self._aggregator.hear(self, message)

    def _reach_device(self, message: Any) -> None:
        self.device.process.do(self.device.receive, self, message)
