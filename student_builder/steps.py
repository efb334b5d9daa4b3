"""The first steps of a build: teacher -> partition. Each reads what the one before left."""

import contextlib
from typing import Any

import torch
from torch.nn import functional

from partitioner import (
    FilterGraph,
    GraphAccumulator,
    Partition,
    PartitionError,
    PartitionFileError,
    draw,
    partition,
    report,
)
from student_builder.checks import check_plan
from student_builder.distillation import EVALUATION_BATCH
from student_builder.errors import TeacherError
from student_builder.experiment import Schedule
from student_builder.files import make_folder, read_tensors, write_tensors
from student_builder.precision import autocast, channels_last
from student_builder.progress import Progress
from student_builder.teacher import Teacher, find_teacher
from student_builder.teacher_files import build_network, load_weights
from student_builder.training import Batch, Pixels, Trainer
from student_builder.workspace import Workspace, read_report, write_report

LABEL_SMOOTHING = 0.1


def obtain_teacher(workspace: Workspace, progress: Progress) -> Teacher:
    """The user's teacher, loaded or trained, checked against the data; its accuracy goes into a report.

    Raises:
        TeacherError, DataError, ExperimentError, PartitionError: before anything long starts, also for what
            later steps would refuse.
    """
    teacher = _untrained_teacher(workspace)
    done = read_report(workspace.teacher_report, workspace.teacher_fingerprint) is not None
    schedule = workspace.experiment.teacher.train
    if schedule is None:
        if not done:
            _report_teacher(workspace, teacher, {}, progress)
    elif not (done and _load_trained(workspace, teacher)):
        training = _train_teacher(workspace, teacher, schedule, progress)
        _report_teacher(workspace, teacher, training, progress)
        workspace.teacher_state.unlink(missing_ok=True)
    teacher.network.eval()
    return teacher


def teacher_is_done(workspace: Workspace) -> bool:
    """Whether nothing has to be trained before the teacher can be used."""
    if workspace.experiment.teacher.train is None:
        return True
    report = read_report(workspace.teacher_report, workspace.teacher_fingerprint)
    return report is not None and read_tensors(workspace.teacher_weights) is not None


def _untrained_teacher(workspace: Workspace) -> Teacher:
    """The teacher as the experiment names it, before any training here."""
    section = workspace.experiment.teacher
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(workspace.experiment.seed)
        network = build_network(section.module, section.arguments, workspace.experiment.base)
    if section.weights is not None:
        load_weights(network, workspace.experiment.resolve(section.weights))
    probe, _ = workspace.validation.batch(slice(0, 4))
    teacher = find_teacher(network, probe, section.features, section.classifier)
    if teacher.classes != workspace.dataset.classes:
        raise TeacherError(
            f"the teacher tells {teacher.classes} classes apart and the data has "
            f"{workspace.dataset.classes}: they must be the same"
        )
    check_plan(workspace.experiment, teacher, probe)
    channels_last(network)
    return teacher


def _load_trained(workspace: Workspace, teacher: Teacher) -> bool:
    """Load the weights of an earlier training, unless they are gone."""
    found = read_tensors(workspace.teacher_weights)
    if found is None:
        return False
    teacher.network.load_state_dict(found[0])
    return True


def _train_teacher(
    workspace: Workspace, teacher: Teacher, schedule: Schedule, progress: Progress
) -> dict[str, Any]:
    network = teacher.network

    def step(batch: Batch, generator: torch.Generator) -> float:
        with autocast():
            logits = network(batch.images)
        loss = functional.cross_entropy(logits.float(), batch.labels, label_smoothing=LABEL_SMOOTHING)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    trainer = Trainer(
        network,
        schedule,
        workspace.train,
        seed=workspace.experiment.seed,
        state_file=workspace.teacher_state,
        fingerprint=workspace.teacher_fingerprint,
    )
    result = trainer.run(
        "train the teacher", step, lambda: teacher_accuracy(teacher, workspace.validation), progress
    )
    write_tensors(workspace.teacher_weights, network.state_dict(), {})
    return result


def _report_teacher(
    workspace: Workspace, teacher: Teacher, training: dict[str, Any], progress: Progress
) -> None:
    accuracy = teacher_accuracy(teacher, workspace.validation)
    facts = {
        "validation_accuracy": accuracy,
        "features": teacher.features,
        "classifier": teacher.classifier,
        "filters": teacher.filters,
        "training": training,
    }
    write_report(workspace.teacher_report, workspace.teacher_fingerprint, facts)
    progress.note(
        f"teacher: {accuracy:.1%} of {len(workspace.validation)} validation images; "
        f"{teacher.filters} filters in {teacher.features!r}, classifier {teacher.classifier!r}"
    )


def teacher_accuracy(teacher: Teacher, pixels: Pixels) -> float:
    """Top-1 accuracy, 0..1."""
    teacher.network.eval()
    right = sum(int((teacher(x)[1].argmax(1) == y).sum()) for x, y in pixels.batches(EVALUATION_BATCH))
    return right / len(pixels)


def partition_filters(workspace: Workspace, teacher: Teacher, progress: Progress) -> Partition:
    """Split the teacher's filters by the graph of their activations on training images; draw the graph."""
    found = load_partition(workspace)
    if found is not None:
        return found
    section = workspace.experiment.partition
    graph, nonnegative = _obtain_graph(workspace, teacher, progress)
    seed = workspace.experiment.seed
    with progress.task("split the filters", 1) as task:
        parts = partition(graph, section.method, parts=section.parts, sizes=section.sizes, seed=seed)
        task.advance()
    quality = report(graph, parts)
    make_folder(workspace.picture.parent)
    draw(graph, parts, workspace.picture)
    parts = parts.overlapping(section.overlap)
    facts = {"partition": parts.to_dict(), "report": quality.to_dict(), "nonnegative": nonnegative}
    write_report(workspace.partition_file, workspace.partition_fingerprint, facts)
    progress.note(
        f"partition: {parts.method}, sizes {', '.join(map(str, parts.sizes))}, cut {quality.cut:.3f} "
        f"-> {workspace.picture}"
    )
    return parts


def _obtain_graph(workspace: Workspace, teacher: Teacher, progress: Progress) -> tuple[FilterGraph, bool]:
    """The filter graph, and whether no feature was below 0; what an earlier build measured, where it did."""
    path, report_path = workspace.graph / "graph.npz", workspace.graph / "report.json"
    facts = read_report(report_path, workspace.graph_fingerprint)
    if facts is not None:
        with contextlib.suppress(PartitionFileError):  # it is gone, or damaged
            return FilterGraph.load(path), bool(facts["nonnegative"])
    section = workspace.experiment.partition
    accumulator = GraphAccumulator(teacher.filters, section.weights)
    images = workspace.train.first(section.images)
    lowest = 0.0
    with progress.task("watch the filters", len(images)) as task:
        for batch, _ in images.batches(EVALUATION_BATCH):
            pooled, _ = teacher(batch)
            lowest = min(lowest, float(pooled.min()))
            accumulator.add(pooled.numpy())
            task.advance(len(batch))
    graph = accumulator.graph()
    make_folder(workspace.graph)
    graph.save(path)
    write_report(report_path, workspace.graph_fingerprint, {"nonnegative": lowest >= 0})
    return graph, lowest >= 0


def load_partition(workspace: Workspace) -> Partition | None:
    """The partition that the workspace holds, or None where there is none of the present inputs."""
    facts = read_report(workspace.partition_file, workspace.partition_fingerprint)
    try:
        return None if facts is None else Partition.from_dict(facts["partition"])
    except (KeyError, PartitionError):
        return None
