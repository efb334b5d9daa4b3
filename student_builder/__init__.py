"""From a teacher and data to a bundle of distilled students.

    from pathlib import Path
    from student_builder import RichProgress, build, load_experiment

    bundle = build(load_experiment(Path("experiments/digits.toml")), progress=RichProgress())

Names load when they are first used: torch takes seconds.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Torch's threads wait by spinning unless told otherwise. On a busy machine that steals the very cores they
# wait for: training the digits' teacher beside other work took 70 s with spinning, and 14 s without.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from student_builder.data import Dataset, load_data
    from student_builder.errors import AccuracyError, DataError, ExperimentError, TeacherError
    from student_builder.evaluation import Evaluation, evaluate, own_source, plot
    from student_builder.experiment import Experiment, load_experiment
    from student_builder.pipeline import build, run_step
    from student_builder.progress import Progress, RichProgress, Silent
    from student_builder.quantization import Quantization, quantize

_PLACES = {
    "build": "pipeline",
    "run_step": "pipeline",
    "Dataset": "data",
    "load_data": "data",
    "AccuracyError": "errors",
    "DataError": "errors",
    "ExperimentError": "errors",
    "TeacherError": "errors",
    "Evaluation": "evaluation",
    "evaluate": "evaluation",
    "own_source": "evaluation",
    "plot": "evaluation",
    "Experiment": "experiment",
    "load_experiment": "experiment",
    "Progress": "progress",
    "RichProgress": "progress",
    "Silent": "progress",
    "Quantization": "quantization",
    "quantize": "quantization",
}

__all__ = [
    "AccuracyError",
    "DataError",
    "Dataset",
    "Evaluation",
    "Experiment",
    "ExperimentError",
    "Progress",
    "Quantization",
    "RichProgress",
    "Silent",
    "TeacherError",
    "build",
    "evaluate",
    "load_data",
    "load_experiment",
    "own_source",
    "plot",
    "quantize",
    "run_step",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'student_builder' has no attribute {name!r}")
    return getattr(importlib.import_module(f"student_builder.{_PLACES[name]}"), name)
