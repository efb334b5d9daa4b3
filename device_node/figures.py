"""What was measured on this machine, kept on disk: as good as its processor and ONNX Runtime are the same."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from device_node import machine
from device_node.state import write_atomically

FILE: Final = "figures.json"
MOST_FIGURES: Final = 1024  # the oldest go
_LARGEST: Final = 1 << 20  # bytes of a file that could be one of ours


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a figure depends on besides the student and the number of threads."""

    processor: str
    runtime: str


@dataclass(frozen=True, slots=True)
class Figure:
    """Of one student with one number of threads. milliseconds: that one image alone takes.

    peak_bytes: resident at the most in a process that has loaded it; 0 when not measured.
    """

    milliseconds: float
    peak_bytes: int = 0


def current_conditions() -> Conditions:
    try:
        runtime = metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:  # another build of it, or none
        runtime = ""
    return Conditions(machine.processor(), runtime)


class Figures:
    """`FILE` in a device's state folder. What is damaged or of another machine counts as not measured."""

    def __init__(self, folder: Path, conditions: Conditions) -> None:
        self._path = folder / FILE
        self._conditions = conditions
        self._kept = _read(self._path, conditions)

    def find(self, digest: str, threads: int) -> Figure | None:
        return self._kept.get((digest, threads))

    def keep(self, found: Mapping[tuple[str, int], Figure]) -> None:
        """By digest of the student and number of threads. Raises StorageError when not on disk then."""
        rest = {key: figure for key, figure in self._kept.items() if key not in found}
        self._kept = dict([*rest.items(), *found.items()][-MOST_FIGURES:])
        document = {
            **asdict(self._conditions),
            "students": [
                {"sha256": digest, "threads": threads, **asdict(figure)}
                for (digest, threads), figure in self._kept.items()
            ],
        }
        write_atomically(self._path, (json.dumps(document, indent=1) + "\n").encode())


def _read(path: Path, conditions: Conditions) -> dict[tuple[str, int], Figure]:
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        document = json.loads(path.read_bytes())
        if Conditions(document["processor"], document["runtime"]) != conditions:
            return {}
        return dict(map(_entry, document["students"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _entry(values: Mapping[str, Any]) -> tuple[tuple[str, int], Figure]:
    """Raises ValueError, KeyError or TypeError."""
    figure = Figure(float(values["milliseconds"]), int(values["peak_bytes"]))
    if not 0 < figure.milliseconds < math.inf or figure.peak_bytes < 0:
        raise ValueError("no figures")
    return (str(values["sha256"]), int(values["threads"])), figure
