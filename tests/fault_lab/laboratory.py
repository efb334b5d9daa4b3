"""What tests of the failure laboratory have in common."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter

from fault_lab.scenario import Fault, Injection, Scenario

DIGITS: Final = Path(__file__).resolve().parents[2] / "samples" / "digits"
WAIT: Final = 30.0  # seconds until something that has to happen is called broken
_FAULT: Final[TypeAdapter[Any]] = TypeAdapter(Fault)


def make_scenario(*faults: dict[str, Any], **cluster: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "made_up",
            "base": Path(),
            "summary": "It shows what a test wants to see.",
            "seconds": 600.0,
            "cluster": cluster,
            "load": {"rate": 1.0},
            "fault": faults,
        }
    )


def injection(device: int, type: str, number: int = 0, **facts: Any) -> Injection:  # noqa: A002
    """Of a fault that is on the whole time."""
    target = {} if device < 0 else {"target": f"device-{device}"}
    fault = _FAULT.validate_python({"type": type, "at": 0.0, **target, **facts})
    return Injection(number, fault, device, 0.0, 0.0 if fault.instant else 600.0)


def until(reached: Callable[[], object], seconds: float = WAIT) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)


def digit_images() -> np.ndarray[Any, np.dtype[np.uint8]]:
    with np.load(DIGITS / "self_test.npz") as arrays:
        images: np.ndarray[Any, np.dtype[np.uint8]] = arrays["images"]
    return images
