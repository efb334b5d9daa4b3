"""How the faults of a scenario file begin and end on a simulated cluster."""

from collections.abc import Callable
from typing import Final

from fault_lab.scenario import Injection
from fault_lab.scenario.fault import AnyFault, Stream
from fault_lab.scenario.faults import (
    AggregatorPause,
    AggregatorRestart,
    Bandwidth,
    ClockJump,
    Corrupt,
    DamagedCache,
    DiskFull,
    Down,
    Duplicate,
    Flapping,
    Kill,
    Late,
    Latency,
    Mute,
    Nan,
    Pause,
    Refuse,
    ResetPeer,
    Restart,
    Slow,
    Timeout,
    WrongShape,
)
from fault_lab.simulation import lies
from fault_lab.simulation.cluster import Cluster
from fault_lab.simulation.device import Device
from fault_lab.simulation.network import Way

Action = Callable[[], object]
# What no simulated cluster has, with the reason.
IMPOSSIBLE: Final[dict[type[AnyFault], str]] = {
    DiskFull: "a simulated device has no disk that could be full: what it loads, it has in memory",
}


def nothing() -> None:
    """There is nothing to do."""


def begin_and_end(injection: Injection, cluster: Cluster) -> tuple[Action, Action]:
    """What to do when the fault begins, and when it is over. Raises KeyError for what is IMPOSSIBLE."""
    match injection.fault:
        case AggregatorRestart():
            return cluster.front.crash, cluster.start_aggregator
        case AggregatorPause():
            return lambda: cluster.front.pause(injection.end - injection.begin), nothing
    return _on_device(injection.fault, cluster.devices[injection.device])


def _on_device(fault: AnyFault, device: Device) -> tuple[Action, Action]:
    process = device.process
    match fault:
        case Kill():
            return lambda: device.crash(silently=False), device.start
        case Restart():
            return lambda: _restart(device), nothing
        case DamagedCache():
            return lambda: _restart(device, damaged=True), nothing
        case Pause():
            return process.stop, process.resume
        case ClockJump(seconds=seconds):
            return lambda: process.jump(seconds), nothing
        case Slow(factor=factor):
            return lambda: setattr(device, "slowness", factor), device.speed_up
        case Mute():
            return lambda: setattr(device, "stuck", True), device.unstick
        case Refuse(toxicity=toxicity):
            return lambda: setattr(device, "refusing", toxicity), lambda: setattr(device, "refusing", 0.0)
        case Corrupt() | Nan() | WrongShape() | Duplicate() | Late():
            return _lying(fault, device)
    return _on_link(fault, device)


def _on_link(fault: AnyFault, device: Device) -> tuple[Action, Action]:
    match fault:
        case ResetPeer():
            return device.reset, nothing
        case Down():
            return lambda: _cut(device), lambda: setattr(device, "cut", False)
        case Flapping(up=up, down=down):
            flap = Flap(device, up, down)
            return flap.go_down, flap.end
        case Timeout(stream=stream):
            return _on_ways(device, stream, Way.close), _on_ways(device, stream, Way.reopen)
        case Latency(latency=latency, jitter=jitter, stream=stream):
            slow = _delay(latency, jitter)
            return _on_ways(device, stream, slow), _on_ways(device, stream, _delay(0.0, 0.0))
        case Bandwidth(rate=rate, stream=stream):
            usual = device.spec.bandwidth
            narrow = _narrow(min(rate, usual))
            return _on_ways(device, stream, narrow), _on_ways(device, stream, _narrow(usual))
    raise KeyError(fault.type)


class Flap:
    """A link that is cut and whole in turn."""

    def __init__(self, device: Device, up: float, down: float) -> None:
        self._device = device
        self._up, self._down = up, down
        self._over = False

    def go_down(self) -> None:
        if not self._over:
            _cut(self._device)
            self._device.clock.after(self._down, self._go_up)

    def _go_up(self) -> None:
        if not self._over:
            self._device.cut = False
            self._device.clock.after(self._up, self.go_down)

    def end(self) -> None:
        self._over = True
        self._device.cut = False


def _cut(device: Device) -> None:
    device.cut = True
    device.reset()


def _restart(device: Device, *, damaged: bool = False) -> None:
    device.crash(silently=False)
    if damaged:
        device.store.lose_files()
    device.start()


def _lying(fault: Corrupt | Nan | WrongShape | Duplicate | Late, device: Device) -> tuple[Action, Action]:
    def begin() -> None:
        device.lie, device.lying = _lie(fault), fault.toxicity

    return begin, lambda: setattr(device, "lying", 0.0)


def _lie(fault: Corrupt | Nan | WrongShape | Duplicate | Late) -> lies.Lie:
    match fault:
        case Corrupt():
            return lies.corrupt
        case Nan():
            return lies.nan
        case WrongShape():
            return lies.wrong_shape
        case Duplicate():
            return lies.duplicate
        case Late(delay=delay):
            return lies.late(delay)


def _on_ways(device: Device, stream: Stream, action: Callable[[Way], None]) -> Action:
    """upstream: from the device to the aggregator."""
    ways = {"upstream": [device.up], "downstream": [device.down], "both": [device.up, device.down]}[stream]

    def act() -> None:
        for way in ways:
            action(way)

    return act


def _delay(latency: float, jitter: float) -> Callable[[Way], None]:
    def act(way: Way) -> None:
        way.added, way.wobble = latency, jitter

    return act


def _narrow(rate: float) -> Callable[[Way], None]:
    return lambda way: setattr(way.line, "rate", rate)
