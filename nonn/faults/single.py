"""One fault on one device, without a file."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fault_lab.scenario import AGGREGATOR, FAULTS, Cluster, Load, Scenario
from fault_lab.scenario.faults import AnyFault
from nonn.errors import UsageError


def make_fault(device: int, fault: str, parameters: dict[str, Any]) -> AnyFault:
    """device: its index, or AGGREGATOR. parameters: as in a scenario file. Raises UsageError."""
    if fault not in FAULTS:
        raise UsageError(f"{fault!r} is no fault; there are {', '.join(FAULTS)}")
    target = {} if device == AGGREGATOR else {"target": f"device-{device}"}
    try:
        return FAULTS[fault].model_validate({"type": fault, "at": 0.0, **target, **parameters})
    except ValidationError as error:
        raise UsageError(f"{fault}: {_first_problem(error)}") from None


def make_scenario(devices: int, heal_after: float | None, ping: float, link: str | None) -> Scenario:
    """Of which only the cluster counts. heal_after: None for never. Raises UsageError."""
    heal: Any = "never" if heal_after is None else heal_after
    try:
        shape = Cluster(devices=devices, heal_after=heal, ping=ping, link=link)
    except ValidationError as error:
        raise UsageError(_first_problem(error)) from None
    return Scenario(
        name="test", base=Path.cwd(), summary="a test", seconds=1.0, cluster=shape, load=Load(clients=1)
    )


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(key) for key in problem["loc"])
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"
