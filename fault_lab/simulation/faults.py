"""How faults begin and end on simulated devices."""

from collections.abc import Callable

from fault_lab.simulation.device import Device
from fault_lab.simulation.network import Way
from fault_lab.simulation.scenario import Fault, Kind

Action = Callable[[], object]


def begin_and_end(fault: Fault, device: Device) -> tuple[Action, Action]:
    """What to do when the fault begins, and when it is over."""
    amount = fault.amount
    match fault.kind:
        case Kind.CRASH:
            return lambda: device.crash(silently=False), _come_back(fault, device)
        case Kind.POWER_LOSS:
            return lambda: device.crash(silently=True), _come_back(fault, device)
        case Kind.LEAVE:
            return device.leave, _come_back(fault, device)
        case Kind.HANG:
            return device.process.stop, device.process.resume
        case Kind.STUCK:
            return lambda: setattr(device, "stuck", True), device.unstick
        case Kind.LIE:
            return _change(device, "lying", amount, 0.0)
        case Kind.REFUSE:
            return _change(device, "refusing", 1.0, 0.0)
        case Kind.BUSY:
            return _change(device, "busy", True, False)
        case Kind.SLOW:
            return lambda: setattr(device, "slowness", amount), device.speed_up
        case Kind.BLACK_HOLE:
            return _ways(Way.close, device.up, device.down), _ways(Way.reopen, device.up, device.down)
        case Kind.MUTE:
            return _ways(Way.close, device.up), _ways(Way.reopen, device.up)
        case Kind.DEAF:
            return _ways(Way.close, device.down), _ways(Way.reopen, device.down)
        case Kind.RESET:
            return device.reset, lambda: None
        case Kind.LAG:
            slow = [_change(way, "slowed", amount, 1.0) for way in (device.up, device.down)]
            return _all(*(begin for begin, _ in slow)), _all(*(end for _, end in slow))


def _come_back(fault: Fault, device: Device) -> Action:
    return device.start if fault.returns else lambda: None


def _change(thing: object, name: str, during: object, after: object) -> tuple[Action, Action]:
    return lambda: setattr(thing, name, during), lambda: setattr(thing, name, after)


def _ways(action: Callable[[Way], None], *ways: Way) -> Action:
    return _all(*(lambda way=way: action(way) for way in ways))


def _all(*actions: Action) -> Action:
    def act() -> None:
        for action in actions:
            action()

    return act
