"""What a plan knows of a device."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from bundle.footprint import PROCESS_BYTES, RUNTIME_BYTES
from fault_lab.containers.boards import BOARDS, parse_groups
from nonn.errors import UsageError

Source = Literal["typed in", "measured", "estimate"]

# Of ResNet-18 on one image of 224x224, on which the boards' times in BOARDS are.
RESNET18_MULTIPLY_ADDS: Final = 1_814_073_344


@dataclass(frozen=True, slots=True)
class Device:
    """speed: multiply-adds a millisecond, on one thread. memory_bytes: that it offers to students."""

    name: str
    speed: float
    memory_bytes: int
    source: Source

    def milliseconds(self, multiply_adds: int) -> float:
        return multiply_adds / self.speed


def of_board(name: str, board: str) -> Device:
    """Raises UsageError for a board that is not known."""
    if board not in BOARDS:
        raise UsageError(f"{name}: {board!r} is none of the boards {', '.join(BOARDS)}")
    known = BOARDS[board]
    speed = RESNET18_MULTIPLY_ADDS / known.resnet18_ms
    offered = known.free_mb * 1_000_000 - PROCESS_BYTES - RUNTIME_BYTES
    return Device(name, speed, offered, "estimate")


def typed_in(name: str, milliseconds: float, megabytes: float, reference: int) -> Device:
    """milliseconds: that one image takes for a network of `reference` multiply-adds. Raises UsageError."""
    if not (0 < milliseconds < 1e9 and 0 < megabytes < 1e9):
        raise UsageError(
            f"{name}: milliseconds and megabytes must be above 0, not {milliseconds}, {megabytes}"
        )
    return Device(name, reference / milliseconds, int(megabytes * 1e6), "typed in")


def parse_device(text: str, reference: int) -> Device:
    """NAME:MS:MEMORY or NAME:BOARD. Raises UsageError."""
    name, *rest = text.split(":")
    if not name or len(rest) not in (1, 2):
        raise UsageError(f"{text!r} is neither NAME:MS:MEMORY, such as attic:12.5:900, nor NAME:BOARD")
    if len(rest) == 1:
        return of_board(name, rest[0])
    try:
        return typed_in(name, float(rest[0]), float(rest[1]), reference)
    except ValueError:
        raise UsageError(f"{text!r}: MS and MEMORY must be numbers") from None


def of_benchmark(document: Mapping[str, Any], where: str) -> Device:
    """From the JSON of `nonn benchmark-device`: fp32, one image, one thread. Raises UsageError."""
    try:
        pairs = [
            (student["multiply_adds"], one["milliseconds"]["median"])
            for student in document["students"]
            if student["precision"] == "fp32"
            for one in student["measurements"]
            if (one["threads"], one["batch"]) == (1, 1)
        ]
        multiply_adds = float(sum(pair[0] for pair in pairs))
        milliseconds = float(sum(pair[1] for pair in pairs))
        name, memory = str(document["name"]), int(float(document["memory_bytes"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UsageError(f"{where} is not what `nonn benchmark-device --json` prints") from None
    speed = multiply_adds / milliseconds if milliseconds > 0 else 0.0
    if not (0 < speed < math.inf and memory > 0):
        raise UsageError(f"{where} has no fp32 student that was measured with one thread, or no free memory")
    return Device(name, speed, memory, "measured")


def distinct(devices: list[Device]) -> tuple[Device, ...]:
    """Raises UsageError for none, and for a name that is there twice."""
    names = [device.name for device in devices]
    if not names:
        raise UsageError("no devices: name some with --device, --boards, --measured or --devices")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two devices are named {twice}: a plan needs a name for each")
    return tuple(devices)


def of_boards(text: str) -> list[Device]:
    """`pi4:6,zero2:2`. Raises UsageError."""
    try:
        groups = parse_groups(text)
    except ValueError as error:
        raise UsageError(f"--boards: {error}") from None
    return [
        of_board(f"{group.board}-{number}", group.board)
        for group in groups
        for number in range(1, group.count + 1)
    ]


def of_table(table: Any, where: str, reference: int) -> Device:
    """One [[device]]: name and board, or name, ms and memory. Raises UsageError."""
    if isinstance(table, dict) and isinstance(name := table.get("name"), str) and name:
        rest = {key: value for key, value in table.items() if key != "name"}
        if rest.keys() == {"board"}:
            return of_board(name, str(rest["board"]))
        if rest.keys() == {"ms", "memory"} and all(type(v) in (int, float) for v in rest.values()):
            return typed_in(name, rest["ms"], rest["memory"], reference)
    raise UsageError(
        f"{where}: each [[device]] has a name and a board, or a name, ms and memory (in MB); not {table}"
    )
