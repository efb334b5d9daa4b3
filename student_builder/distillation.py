"""Students imitate their parts of the teacher. All of them share each batch and each pass of the teacher."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from partitioner import Partition
from student_builder.experiment import StudentsSection
from student_builder.joint import draw_answering, merge_answering
from student_builder.precision import autocast, channels_last
from student_builder.student import Student
from student_builder.teacher import Teacher
from student_builder.training import Batch, Pixels, Step, accuracy

EVALUATION_BATCH = 500


class Ensemble(nn.Module):
    """The undivided network: all students, merged as the aggregator merges when nobody is missing."""

    bias: Tensor

    def __init__(self, students: Sequence[Student], student_parts: Sequence[int], bias: Tensor) -> None:
        super().__init__()
        self.students = nn.ModuleList(students)
        self.student_parts = tuple(student_parts)
        self.register_buffer("bias", bias.clone())

    def student(self, index: int) -> Student:
        member = self.students[index]
        assert isinstance(member, Student)
        return member

    def partials(self, images: Tensor) -> Tensor:
        """Partial logits [S, N, classes] of normalised images [N, C, H, W]."""
        members = [self.student(index) for index in range(len(self.students))]
        return torch.stack([member.partial_logits(member(images)) for member in members])

    def merge(self, partials: Tensor) -> Tensor:
        """b + sum over parts of the mean over replicas: [S, N, classes] -> [N, classes]."""
        replicas = torch.bincount(torch.tensor(self.student_parts))
        shares = torch.tensor([1.0 / replicas[part] for part in self.student_parts])
        merged: Tensor = self.bias + torch.einsum("s,snk->nk", shares, partials)
        return merged

    def forward(self, images: Tensor) -> Tensor:
        return self.merge(self.partials(images))


def build_ensemble(
    section: StudentsSection,
    teacher: Teacher,
    partition: Partition,
    channels: int,
    nonnegative: bool,
    seed: int,
) -> Ensemble:
    """Untrained students, student i on part i mod M, each initialised differently."""
    parts = [i % len(partition.parts) for i in range(section.count)]
    columns = part_columns(teacher, partition)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        students = [
            Student(
                section.architecture_of(part),
                channels,
                columns[part],
                nonnegative,
                section.head,
                section.mirror,
            )
            for part in parts
        ]
    return channels_last(Ensemble(students, parts, teacher.bias))


def start_from(trunk: Ensemble, ensemble: Ensemble) -> None:
    """Copy the trunk's bodies into the students, replicas of a part from different ones where there are.

    A learned head goes along where it is of use: where there is one part, the whole.
    """
    parts = len(set(ensemble.student_parts))
    for index in range(len(ensemble.students)):
        student = ensemble.student(index)
        shared = len(trunk.students) < len(ensemble.students)
        origin = trunk.student((index % parts + index // parts) % len(trunk.students) if shared else index)
        student.body.load_state_dict(origin.body.state_dict())
        if parts == 1 and not student.imitates_features:
            student.columns.data.copy_(origin.columns)


def part_columns(teacher: Teacher, partition: Partition) -> list[Tensor]:
    """W[:, P] of each part, [classes, part width]; shared out evenly where a filter is in several parts."""
    return [teacher.weight[:, list(part)] / partition.copies for part in partition.parts]


@dataclass(frozen=True)
class Targets:
    """What one pass of the teacher gives all students of a batch."""

    logits: Tensor
    """[N, classes]"""
    features: tuple[Tensor, ...]
    """The pooled features of each part, [N, part width]."""
    part_logits: Tensor
    """The teacher's own partial logits, [N, M, classes]."""


def make_targets(teacher: Teacher, partition: Partition, pooled: Tensor) -> Targets:
    """pooled: the teacher's pooled features [N, filters]."""
    features = tuple(pooled[:, list(part)] for part in partition.parts)
    columns = part_columns(teacher, partition)
    part_logits = torch.stack([functional.linear(f, w) for f, w in zip(features, columns, strict=True)], 1)
    return Targets(functional.linear(pooled, teacher.weight, teacher.bias), features, part_logits)


@dataclass(frozen=True)
class Lesson:
    """What a student learns from in one step: a batch, and what the teacher says of it."""

    images: Tensor
    labels: Tensor
    targets: Targets


def student_loss(
    section: StudentsSection,
    student: Student,
    part: int,
    features: Tensor,
    lesson: Lesson,
    kept: Tensor,
    bias: Tensor,
) -> Tensor:
    """Imitation of the teacher by hybrid logits, + transfer of the normalised features.

    A softmax needs whole logits, which one student does not have. Its hybrid logits are its own partial
    logits plus the teacher's for the other parts, each of those kept with probability `keep_parts`, so that a
    student learns both to fit among the others and to do without them. features: the student's, [N, F]. kept:
    0 or 1, [N, M]; the student's own part counts as 0.

    Feature transfer, of students that imitate features: |f/|f| - t/|t||^2, mean over the batch (NoNN, arXiv
    1907.11804).
    """
    targets = lesson.targets
    others = kept.clone()
    others[:, part] = 0
    hybrid = bias + student.partial_logits(features) + torch.einsum("nm,nmk->nk", others, targets.part_logits)
    loss = imitation_loss(section, hybrid, lesson)
    if section.feature_transfer and student.imitates_features:
        difference = functional.normalize(features, dim=1) - functional.normalize(
            targets.features[part], dim=1
        )
        loss = loss + section.feature_transfer * difference.square().sum(1).mean()
    return loss


def imitation_loss(section: StudentsSection, logits: Tensor, lesson: Lesson) -> Tensor:
    """Distillation + cross-entropy of whole logits [N, classes].

    Distillation: T^2 KL(teacher || student) at temperature T, batch mean (Hinton et al., arXiv 1503.02531).
    """
    temperature = section.temperature
    divergence = functional.kl_div(
        functional.log_softmax(logits / temperature, 1),
        functional.log_softmax(lesson.targets.logits / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    loss = section.distillation * temperature**2 * divergence
    if section.cross_entropy:
        loss = loss + section.cross_entropy * functional.cross_entropy(logits, lesson.labels)
    return loss


@contextmanager
def distillation_step(
    section: StudentsSection, ensemble: Ensemble, teacher: Teacher, partition: Partition
) -> Iterator[Step]:
    """Forward and backward of every student on one pass of the teacher, or on what is kept of an earlier one.

    Students are independent, but for what `joint` adds, so each core trains one at a time with
    single-threaded operators: no core waits for another inside an operator, and the result does not depend on
    the number of cores.
    """
    cores = ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,))
    with cores:

        def answer(index: int, lesson: Lesson, kept: Tensor) -> tuple[Tensor, Tensor]:
            """The student's own loss, and its partial logits."""
            student, part = ensemble.student(index), ensemble.student_parts[index]
            with autocast():
                features = student(lesson.images)
            features = features.float()
            loss = student_loss(section, student, part, features, lesson, kept, ensemble.bias)
            return loss, student.partial_logits(features)

        def train_one(index: int, lesson: Lesson, kept: Tensor) -> float:
            loss, _ = answer(index, lesson, kept)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.item()

        def train_jointly(lesson: Lesson, kept: Tensor, generator: torch.Generator) -> float:
            """Own losses, and that of the merge of whoever answers, whose gradient goes back to them."""
            answers = list(cores.map(answer, range(section.count), [lesson] * section.count, kept))
            partials = torch.stack([partial.detach() for _, partial in answers]).requires_grad_()
            answering = draw_answering(len(lesson.images), section.count, section.failout, generator)
            merged = merge_answering(partials, answering, ensemble.student_parts, ensemble.bias)
            joint = section.joint * imitation_loss(section, merged, lesson)
            (gradients,) = torch.autograd.grad(joint, partials)
            list(cores.map(_backward, answers, gradients))
            return sum(loss.item() for loss, _ in answers) / section.count + joint.item()

        def step(batch: Batch, generator: torch.Generator) -> float:
            pooled = teacher(batch.images)[0] if batch.pooled is None else batch.pooled
            lesson = Lesson(batch.images, batch.labels, make_targets(teacher, partition, pooled))
            shape = section.count, len(batch.images), len(partition.parts)
            kept = (torch.rand(shape, generator=generator) < section.keep_parts).float()
            if section.joint:
                return train_jointly(lesson, kept, generator)
            losses = cores.map(train_one, range(section.count), [lesson] * section.count, kept)
            return sum(losses) / section.count

        yield step


def _backward(answer: tuple[Tensor, Tensor], gradient: Tensor) -> None:
    loss, partial = answer
    torch.autograd.backward([loss, partial], [torch.ones_like(loss), gradient])


@torch.no_grad()
def ensemble_accuracy(ensemble: Ensemble, pixels: Pixels) -> float:
    """Top-1 accuracy of all students together, 0..1."""
    ensemble.eval()
    with autocast():
        logits = torch.cat([ensemble(images).float() for images, _ in pixels.batches(EVALUATION_BATCH)])
    return accuracy(logits, torch.from_numpy(pixels.labels))
