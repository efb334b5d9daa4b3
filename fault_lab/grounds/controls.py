"""From the active faults to what proxies and devices are told: pure, and the same on every real ground."""

from collections import Counter
from dataclasses import replace
from typing import Any, Final

from fault_lab.control_file import to_document
from fault_lab.mischief import HONEST, Answers, Mischief
from fault_lab.proxy import CLEAN, LINKS, Flapping, LinkState, Toxics
from fault_lab.scenario import Group, Injection, Scenario
from fault_lab.scenario.fault import AnyFault
from fault_lab.scenario.faults import (
    Bandwidth,
    ClockJump,
    Corrupt,
    DiskFull,
    Down,
    Duplicate,
    Late,
    Latency,
    Mute,
    Nan,
    Refuse,
    ResetPeer,
    Slow,
    Timeout,
    WrongShape,
)
from fault_lab.scenario.faults import Flapping as FlappingFault
from fault_lab.scenario.model import Cluster

OF_LINKS: Final = frozenset({Group.PASSAGE, Group.DELAY, Group.BANDWIDTH})
OF_DEVICES: Final = frozenset({Group.SPEED, Group.ANSWERS, Group.DISK, Group.CLOCK})


def needs_proxy(scenario: Scenario) -> bool:
    """Whether devices have to be joined to the aggregator by `python -m fault_lab.proxy`."""
    return scenario.cluster.link is not None or any(fault.group in OF_LINKS for fault in scenario.fault)


def needs_mischief(scenario: Scenario) -> bool:
    """Whether devices have to be run by `python -m fault_lab.mischief`."""
    return any(fault.group in OF_DEVICES for fault in scenario.fault)


def is_told(fault: AnyFault) -> bool:
    """Whether a control file carries it out, and not a signal or the like."""
    return fault.group in OF_LINKS | OF_DEVICES


class Controls:
    """What is to be written to control files, for the devices of a cluster, after each `begin` and `end`.

    seed: of what devices leave to chance.
    """

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._seed = seed
        self._names = cluster.names
        self._link = CLEAN if cluster.link is None else LINKS[cluster.link].toxics
        self._active: dict[int, Injection] = {}
        self._resets = Counter[int]()
        self._clocks = Counter[int]()

    def begin(self, injection: Injection) -> None:
        fault, device = injection.fault, injection.device
        if isinstance(fault, ResetPeer):
            self._resets[device] += 1
        elif isinstance(fault, ClockJump):
            self._clocks[device] += fault.seconds  # type: ignore[assignment]
        elif is_told(fault):
            self._active[injection.number] = injection

    def end(self, injection: Injection) -> None:
        self._active.pop(injection.number, None)

    def proxy(self) -> dict[str, Any]:
        """For the control file of the proxy process, all links in one."""
        return {name: to_document(self.link(device)) for device, name in enumerate(self._names)}

    def mischief(self, device: int) -> dict[str, Any]:
        """For the control file of one device."""
        return to_document(self.conduct(device))

    def link(self, device: int) -> LinkState:
        state = LinkState(self._link, self._link, resets=self._resets[device])
        for fault in self._faults(device):
            state = _apply(state, fault)
        return state

    def conduct(self, device: int) -> Mischief:
        mischief, seed = replace(HONEST, clock=float(self._clocks[device])), self._seed + device
        for fault in self._faults(device):
            match fault:
                case Slow():
                    mischief = replace(mischief, slow=fault.factor)
                case DiskFull():
                    mischief = replace(mischief, disk_full=True)
                case Late():
                    mischief = replace(mischief, answers=Answers("late", fault.toxicity, fault.delay, seed))
                case Mute():
                    mischief = replace(mischief, answers=Answers("mute"))
                case Corrupt() | Nan() | WrongShape() | Duplicate() | Refuse():
                    mischief = replace(mischief, answers=Answers(fault.type, fault.toxicity, seed=seed))
        return mischief

    def _faults(self, device: int) -> list[AnyFault]:
        return [each.fault for each in self._active.values() if each.device == device]


def _apply(state: LinkState, fault: AnyFault) -> LinkState:
    match fault:
        case Down():
            return replace(state, enabled=False)
        case FlappingFault():
            return replace(state, flapping=Flapping(fault.up, fault.down))
        case Latency() | Bandwidth() | Timeout():
            upstream, downstream = state.upstream, state.downstream
            if fault.stream != "downstream":
                upstream = _worse(upstream, fault)
            if fault.stream != "upstream":
                downstream = _worse(downstream, fault)
            return replace(state, upstream=upstream, downstream=downstream)
    return state


def _worse(toxics: Toxics, fault: Latency | Bandwidth | Timeout) -> Toxics:
    """Delays add to those of the link, and the narrower of two bandwidths counts."""
    match fault:
        case Latency():
            return replace(
                toxics, latency=toxics.latency + fault.latency, jitter=toxics.jitter + fault.jitter
            )
        case Bandwidth():
            return replace(toxics, bandwidth=min(toxics.bandwidth, fault.rate))
        case Timeout():
            return replace(toxics, timeout=True)
