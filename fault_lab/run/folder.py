"""What a run leaves on disk: its scenario, every request as it ended, the logs, the result and the report."""

import json
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bundle.errors import StorageError
from device_node.state import write_atomically
from fault_lab.record import Outcome
from fault_lab.report.html import write_report
from fault_lab.scenario.errors import ScenarioError

SCENARIO, RESULT, REPORT, REQUESTS, LOGS = (
    "scenario.toml",
    "result.json",
    "report.html",
    "requests.jsonl",
    "logs",
)
RUNS: Final = Path("runs") / "faults"


class RunFolder:
    """Requests are written as they end, so that a run that is broken off leaves those.

    `with` raises StorageError when there is something already, or the folder cannot be made.
    """

    def __init__(self, path: Path, scenario: Path) -> None:
        self.path = path
        self.logs = path / LOGS
        self._scenario = scenario

    def __enter__(self) -> Self:
        make_folder(self.path)
        shutil.copyfile(self._scenario, self.path / SCENARIO)
        self._requests = (self.path / REQUESTS).open("w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._requests.close()

    def record(self, outcome: Outcome) -> None:
        self._requests.write(json.dumps(as_json(outcome)) + "\n")

    def finish(self, summary: dict[str, Any]) -> None:
        write_atomically(self.path / RESULT, json.dumps(summary, indent=1).encode())
        write_report(summary, self.path / REPORT)


def make_folder(path: Path) -> None:
    """With room for logs. Raises StorageError when there is something already, or it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise StorageError(f"{path} is not empty: name a new folder with --output")
        (path / LOGS).mkdir()
    except OSError as error:
        raise StorageError(
            f"cannot make {path}: {error.strerror}; name a new folder with --output"
        ) from error


def as_json(outcome: Outcome) -> dict[str, Any]:
    values = {name: getattr(outcome, name) for name in outcome.__slots__}
    return {**values, "ending": outcome.ending.value}


def new_folder(name: str, ground: str, seed: int) -> Path:
    """One that is not there yet."""
    stem = f"{name}-{ground}-{seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = RUNS / stem, 1
    while path.exists():
        number += 1
        path = RUNS / f"{stem}-{number}"
    return path


def read_result(run: Path) -> dict[str, Any]:
    """Of a run's folder, or of its result.json. Raises ScenarioError when it is none."""
    folder = run.parent if run.name == RESULT else run
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        if not isinstance(result.get("ground"), str) or not (folder / SCENARIO).is_file():
            raise ValueError("not a run's")
    except (OSError, ValueError):
        raise ScenarioError(f"{run} is not the folder of a finished run") from None
    return result
