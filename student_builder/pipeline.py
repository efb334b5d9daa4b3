"""A whole build, or one step of it. What is already done with the present inputs is not done again."""

from pathlib import Path
from typing import Literal

from bundle import Bundle, check_target
from student_builder.bundling import make_bundle
from student_builder.distil_steps import distil_students, load_students
from student_builder.errors import ExperimentError
from student_builder.experiment import Experiment
from student_builder.progress import Progress, Silent
from student_builder.steps import load_partition, obtain_teacher, partition_filters, teacher_is_done
from student_builder.workspace import Workspace

StepName = Literal["partition", "distill", "export"]


def default_folder(experiment: Experiment) -> Path:
    return Path("runs") / experiment.name


def build(
    experiment: Experiment,
    folder: Path | None = None,
    output: Path | None = None,
    progress: Progress | None = None,
    shared: Path | None = None,
) -> Bundle:
    """Teacher -> partition -> students -> bundle.

    folder: where the steps leave their files, runs/NAME by default. output: the bundle, by default
    FOLDER/bundle. shared: a folder for what experiments of one teacher have in common, FOLDER by default.

    Raises:
        NonnError: of the kind that says what is wrong; no earlier bundle at `output` is lost then.
    """
    workspace = Workspace(experiment, folder or default_folder(experiment), shared)
    progress = progress or Silent()
    path = output or workspace.bundle
    check_target(path)
    with workspace.locked():
        teacher = obtain_teacher(workspace, progress)
        partition = partition_filters(workspace, teacher, progress)
        ensemble = distil_students(workspace, teacher, partition, progress)
        return make_bundle(workspace, partition, ensemble, path, progress)


def run_step(
    step: StepName,
    experiment: Experiment,
    folder: Path | None = None,
    output: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """One step alone, from what the steps before it left.

    Raises:
        ExperimentError: where a step before it has not been done with the present experiment.
    """
    workspace = Workspace(experiment, folder or default_folder(experiment))
    progress = progress or Silent()
    with workspace.locked():
        if step != "partition" and not teacher_is_done(workspace):
            raise ExperimentError(
                f"{workspace.folder} holds no teacher of this experiment: run nonn partition first"
            )
        teacher = obtain_teacher(workspace, progress)
        if step == "partition":
            partition_filters(workspace, teacher, progress)
            return
        partition = load_partition(workspace)
        if partition is None:
            raise ExperimentError(
                f"{workspace.folder} holds no partition of this experiment: run nonn partition first"
            )
        if step == "distill":
            distil_students(workspace, teacher, partition, progress)
            return
        ensemble = load_students(workspace, teacher, partition)
        if ensemble is None:
            raise ExperimentError(
                f"{workspace.folder} holds no students of this experiment: run nonn distill first"
            )
        path = output or workspace.bundle
        check_target(path)
        make_bundle(workspace, partition, ensemble, path, progress)
