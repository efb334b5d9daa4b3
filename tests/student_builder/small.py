"""The smallest experiment that goes through every step: some hundred digits, three students on two parts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from student_builder.progress import Task

TRAIN, TEST, VALIDATION = 300, 100, 60
STUDENTS, PARTS = 3, 2

SCHEDULE = {"epochs": 1, "batch_size": 40, "learning_rate": 0.1, "crop_padding": 1, "flip": False}
TABLES: dict[str, dict[str, Any]] = {
    "": {"name": "small"},
    "data": {"source": "npz:digits.npz", "validation": VALIDATION},
    "teacher": {
        "module": "student_builder.networks:WideResNet",
        "arguments": {"depth": 10, "width": 0.25, "channels": 1, "classes": 10},
    },
    "teacher.train": {**SCHEDULE, "epochs": 2},
    "partition": {"method": "eigenvector", "parts": PARTS},
    "students": {**SCHEDULE, "count": STUDENTS, "architecture": "wrn-10-0.25"},
    "merge": {"images": 100},
}


def digits() -> dict[str, NDArray[Any]]:
    """The arrays of an .npz data set: 8x8 images, labels and their names."""
    bunch = load_digits()
    images = np.round(bunch.images[: TRAIN + TEST, :, :, None] * (255 / 16)).astype(np.uint8)
    labels = bunch.target[: TRAIN + TEST].astype(np.int64)
    return {
        "train_images": images[:TRAIN],
        "train_labels": labels[:TRAIN],
        "test_images": images[TRAIN:],
        "test_labels": labels[TRAIN:],
        "label_names": np.array([f"digit {k}" for k in range(10)]),
    }


def write_experiment(folder: Path, **changes: dict[str, Any]) -> Path:
    """FOLDER/small.toml with its data beside it.

    changes: by table, `__` for the dot and `top` for the top level; a value of None removes its key, a table
    whose keys are all gone is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "digits.npz").exists():
        np.savez(folder / "digits.npz", **digits())
    renamed = {"" if name == "top" else name.replace("__", "."): table for name, table in changes.items()}
    lines = []
    for name in (*TABLES, *(name for name in renamed if name not in TABLES)):
        table = {**TABLES.get(name, {}), **renamed.get(name, {})}
        table = {key: value for key, value in table.items() if value is not None}
        if table and name:
            lines.append(f"[{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
    path = folder / "small.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


@dataclass
class Recorder:
    """A Progress that remembers which steps ran, and how far each was when it began."""

    tasks: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def task(self, name: str, total: float, done: float = 0) -> Iterator[Task]:
        self.tasks[name] = done
        yield _Quiet()

    def note(self, line: str) -> None:
        self.notes.append(line)


class _Quiet:
    def advance(self, amount: float = 1, note: str = "") -> None:
        pass
