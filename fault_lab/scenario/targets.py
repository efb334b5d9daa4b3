"""The words of `target`, and the order in which faults get their devices."""

import fnmatch
import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fault_lab.scenario.errors import ScenarioError
from fault_lab.scenario.fault import AnyFault
from fault_lab.scenario.injection import Injection
from fault_lab.scenario.model import Scenario

MOST_INJECTIONS: Final = 10_000
CHOICES: Final = "all, a device, a pattern such as device-[0-3], part N or random N"


def drawn(target: str) -> int | None:
    """N of `random N`."""
    match = re.fullmatch(r"random (\d{1,9})", target, re.ASCII)
    return None if match is None else int(match[1])


def part(target: str) -> int | None:
    """N of `part N`."""
    match = re.fullmatch(r"part (\d{1,9})", target, re.ASCII)
    return None if match is None else int(match[1])


def named(scenario: Scenario, target: str) -> list[int]:
    """Raises ScenarioError when no device is."""
    names = scenario.cluster.names
    found = [
        index for index, name in enumerate(names) if target == "all" or fnmatch.fnmatchcase(name, target)
    ]
    if not found:
        raise ScenarioError(
            f"target: {reprlib.repr(target)} matches none of {names[0]} to {names[-1]}: use {CHOICES}"
        )
    return found


def in_order(scenario: Scenario) -> Iterator[tuple[int, AnyFault]]:
    """What is drawn keeps away from what is named, so it comes last."""
    yield from sorted(enumerate(scenario.fault), key=lambda pair: _draws(pair[1]))


def _draws(fault: AnyFault) -> bool:
    return any(drawn(target) is not None for target in fault.targets)


@contextmanager
def blaming(index: int) -> Iterator[None]:
    """A ScenarioError within is one of this fault."""
    try:
        yield
    except ScenarioError as error:
        raise ScenarioError(str(error), fault=index) from None


def begins(fault: AnyFault) -> Iterator[float]:
    for turn in range(fault.times):
        yield fault.at + turn * (fault.every or 0.0)


def end_of(scenario: Scenario, fault: AnyFault, start: float) -> float:
    """Raises ScenarioError when the load has ended by then."""
    lasting = scenario.seconds if fault.duration is None else start + fault.duration
    end = start if fault.instant else lasting
    if end > scenario.seconds or start >= scenario.seconds:
        raise ScenarioError(
            f"{fault.type} from {start:g} s to {end:g} s is not over when the load ends, "
            f"after {scenario.seconds:g} s: raise seconds, or begin earlier"
        )
    return end


def contradiction(injection: Injection, other: Injection) -> ScenarioError:
    return ScenarioError(
        f"{injection.fault.type} of {injection.target} from {injection.begin:g} s to {injection.end:g} s "
        f"contradicts its {other.fault.type} from {other.begin:g} s to {other.end:g} s: both decide "
        f"{other.fault.group.value}"
    )


def no_such_part(target: str, parts: int) -> ScenarioError:
    return ScenarioError(f"target: {target!r}: the bundle has parts 0 to {parts - 1}")


def check_number(injections: int) -> None:
    if injections > MOST_INJECTIONS:
        raise ScenarioError(
            f"with this fault, more than {MOST_INJECTIONS:,} times something happens to a device: give fewer "
            "times, or fewer targets"
        )
