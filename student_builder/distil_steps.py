"""The later steps of a build: trunk -> students. Both are distilled in the same way."""

from dataclasses import dataclass

from partitioner import Partition
from student_builder.distillation import (
    Ensemble,
    build_ensemble,
    distillation_step,
    ensemble_accuracy,
    start_from,
)
from student_builder.experiment import StudentsSection
from student_builder.files import read_tensors, write_tensors
from student_builder.progress import Progress
from student_builder.teacher import Teacher
from student_builder.training import Source, Trainer
from student_builder.views import prepare_views
from student_builder.workspace import TrainingFiles, Workspace, read_report, write_report


def distil_students(
    workspace: Workspace, teacher: Teacher, partition: Partition, progress: Progress
) -> Ensemble:
    """Train every student, or load those that the workspace holds."""
    section = workspace.experiment.students
    ensemble = _untrained(workspace, teacher, partition)
    if _load(ensemble, workspace.students, workspace.students_fingerprint):
        return ensemble
    trunk = _obtain_trunk(workspace, teacher, progress)
    if trunk is not None:
        start_from(trunk, ensemble)
    job = Job(
        "students", section, workspace.students, workspace.students_fingerprint, workspace.experiment.seed
    )
    _distil(workspace, job, ensemble, teacher, partition, progress)
    return ensemble


def load_students(workspace: Workspace, teacher: Teacher, partition: Partition) -> Ensemble | None:
    """The distilled students that the workspace holds, or None."""
    ensemble = _untrained(workspace, teacher, partition)
    return ensemble if _load(ensemble, workspace.students, workspace.students_fingerprint) else None


def _obtain_trunk(workspace: Workspace, teacher: Teacher, progress: Progress) -> Ensemble | None:
    """The networks that students start from: each imitates the whole teacher by a head of its own."""
    experiment = workspace.experiment
    if experiment.trunk is None:
        return None
    shape = {"architecture": experiment.students.architecture, "head": "linear"}
    section = StudentsSection(**experiment.trunk.model_dump(exclude={"seed"}), **shape)  # type: ignore[arg-type]
    whole = Partition("random", (tuple(range(teacher.filters)),))
    channels = workspace.dataset.image_shape[2]
    trunk = build_ensemble(section, teacher, whole, channels, nonnegative=True, seed=experiment.trunk.seed)
    if not _load(trunk, workspace.trunk, workspace.trunk_fingerprint or ""):
        job = Job("trunk", section, workspace.trunk, workspace.trunk_fingerprint or "", experiment.trunk.seed)
        _distil(workspace, job, trunk, teacher, whole, progress)
    return trunk


@dataclass(frozen=True)
class Job:
    """One training: of what, how, from which seed, and where it leaves its files."""

    name: str
    section: StudentsSection
    files: TrainingFiles
    fingerprint: str
    seed: int


def _distil(
    workspace: Workspace,
    job: Job,
    ensemble: Ensemble,
    teacher: Teacher,
    partition: Partition,
    progress: Progress,
) -> None:
    """Train an ensemble from wherever it was stopped, and leave its weights and report."""
    section, files = job.section, job.files
    trainer = Trainer(
        ensemble,
        section,
        workspace.train,
        seed=job.seed,
        state_file=files.state,
        fingerprint=job.fingerprint,
        source=_source(workspace, section, teacher, progress),
    )
    with distillation_step(section, ensemble, teacher, partition) as step:
        result = trainer.run(
            f"distil {section.count} {job.name}",
            step,
            lambda: ensemble_accuracy(ensemble, workspace.validation),
            progress,
        )
    write_tensors(files.weights, ensemble.state_dict(), {})
    write_report(files.report, job.fingerprint, result)
    files.state.unlink(missing_ok=True)
    accuracy = result["best_validation_accuracy"]
    progress.note(f"{job.name}: {accuracy:.1%} of the validation images, all together")


def _source(
    workspace: Workspace, section: StudentsSection, teacher: Teacher, progress: Progress
) -> Source | None:
    if not section.views:
        return None
    folder = workspace.views(section)
    return prepare_views(teacher, workspace.train, section, section.views, folder, progress)


def _untrained(workspace: Workspace, teacher: Teacher, partition: Partition) -> Ensemble:
    experiment = workspace.experiment
    facts = read_report(workspace.partition_file, workspace.partition_fingerprint) or {}
    channels = workspace.dataset.image_shape[2]
    nonnegative = bool(facts.get("nonnegative", False))
    return build_ensemble(experiment.students, teacher, partition, channels, nonnegative, experiment.seed)


def _load(ensemble: Ensemble, files: TrainingFiles, fingerprint: str) -> bool:
    found = read_tensors(files.weights)
    if found is None or read_report(files.report, fingerprint) is None:
        return False
    ensemble.load_state_dict(found[0])
    ensemble.eval()
    return True
