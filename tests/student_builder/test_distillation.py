from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle import Merger
from partitioner import Partition
from student_builder.distillation import (
    Ensemble,
    Lesson,
    build_ensemble,
    distillation_step,
    imitation_loss,
    make_targets,
    start_from,
    student_loss,
)
from student_builder.experiment import StudentsSection
from student_builder.joint import draw_answering, merge_answering
from student_builder.networks import WideResNet, parse_architecture
from student_builder.precision import autocast
from student_builder.teacher import Teacher
from student_builder.training import Batch

CLASSES, IMAGES = 5, 12
PARTITION = Partition("random", ((0, 3, 4, 9), (1, 2, 5), (6, 7, 8, 10, 11, 12, 13, 14, 15)), seed=0)
COUNT = 7  # students of parts 0 1 2 0 1 2 0: unequal numbers of replicas
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        return Teacher(WideResNet(10, 0.25, 1, CLASSES).eval(), "features", "classifier")


@pytest.fixture(scope="module")
def lesson(teacher: Teacher) -> Lesson:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(IMAGES, 1, 8, 8, generator=generator)
    labels = torch.randint(0, CLASSES, (IMAGES,), generator=generator)
    return Lesson(images, labels, make_targets(teacher, PARTITION, teacher(images)[0]))


def section(**changes: Any) -> StudentsSection:
    return StudentsSection(count=COUNT, architecture="wrn-10-0.25", **changes)


def ensemble(teacher: Teacher, seed: int = 0) -> Ensemble:
    return build_ensemble(section(), teacher, PARTITION, 1, True, seed)


def warm(students: Ensemble, lesson: Lesson) -> Ensemble:
    """Batch statistics that are not those of an untrained network."""
    students.train()
    with torch.no_grad():
        for _ in range(3):
            students(lesson.images)
    return students.eval()


def test_student_i_imitates_part_i_mod_m(teacher: Teacher) -> None:
    students = ensemble(teacher)
    assert students.student_parts == (0, 1, 2, 0, 1, 2, 0)
    for index, part in enumerate(students.student_parts):
        columns = students.student(index).columns
        assert torch.equal(columns, teacher.weight[:, list(PARTITION.parts[part])])
    replicas = [students.student(index).state_dict()["bridge.0.weight"] for index in (0, 3)]
    assert not torch.equal(*replicas)
    again = ensemble(teacher).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in students.state_dict().items())


def test_students_of_each_part_may_have_an_architecture_of_their_own(teacher: Teacher) -> None:
    names = ("wrn-10-0.125", "wrn-10-0.25", "wrn-16-0.5")
    uneven = StudentsSection(count=COUNT, architecture=names)
    students = build_ensemble(uneven, teacher, PARTITION, 1, True, seed=0)
    for index, part in enumerate(students.student_parts):
        expected = parse_architecture(names[part], 1)
        assert students.student(index).body.channels_out == expected.channels_out
        assert len(students.student(index).body) == len(expected)


def test_the_undivided_network_and_the_merged_students_agree(teacher: Teacher, lesson: Lesson) -> None:
    students = warm(ensemble(teacher), lesson)
    with torch.no_grad():
        undivided = students(lesson.images).numpy()
        partials = students.partials(lesson.images).numpy()
    means = partials.mean(1)
    for fill in ("zero", "mean", "ridge"):
        flat = partials.transpose(1, 0, 2).reshape(IMAGES, -1)
        covariance = np.cov(flat, rowvar=False) if fill == "ridge" else None
        merger = Merger(students.student_parts, students.bias.numpy(), means, fill, covariance)
        merged = merger.merge(dict(enumerate(partials)))
        np.testing.assert_allclose(merged, undivided, atol=1e-5)
    by_hand = students.bias.numpy().astype(np.float64) + sum(
        partials[[i for i, own in enumerate(students.student_parts) if own == part]].mean(0)
        for part in range(3)
    )
    np.testing.assert_allclose(undivided, by_hand, atol=1e-5)


def test_the_teachers_own_parts_add_up_to_its_logits(teacher: Teacher, lesson: Lesson) -> None:
    targets = lesson.targets
    assert [f.shape for f in targets.features] == [(IMAGES, 4), (IMAGES, 3), (IMAGES, 9)]
    pooled, logits = teacher(lesson.images)
    merged = teacher.bias + targets.part_logits.sum(1)
    np.testing.assert_allclose(merged.detach(), pooled @ teacher.weight.T + teacher.bias, atol=1e-5)
    np.testing.assert_allclose(targets.logits, logits, rtol=0.05, atol=0.05)  # the network's are in bfloat16
    assert torch.equal(targets.features[1], pooled[:, [1, 2, 5]])


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def pieces(features: Tensor, lesson: Lesson, teacher: Teacher, part: int, kept: Array) -> dict[str, float]:
    """The three losses as the docstring writes them, image by image, in double precision."""
    temperature = 3.0
    weight, bias = teacher.weight.double().numpy(), teacher.bias.double().numpy()
    own = features.double().numpy()
    goal = lesson.targets.features[part].double().numpy()
    logits = lesson.targets.logits.double().numpy()
    hybrid = np.empty((IMAGES, CLASSES))
    for n in range(IMAGES):
        hybrid[n] = bias + weight[:, list(PARTITION.parts[part])] @ own[n]
        for other in range(3):
            if other != part and kept[n, other]:
                columns = weight[:, list(PARTITION.parts[other])]
                hybrid[n] += columns @ lesson.targets.features[other][n].double().numpy()
    soft_teacher, soft_student = log_softmax(logits / temperature), log_softmax(hybrid / temperature)
    unit = own / np.linalg.norm(own, axis=1, keepdims=True)
    unit_goal = goal / np.linalg.norm(goal, axis=1, keepdims=True)
    divergence = (np.exp(soft_teacher) * (soft_teacher - soft_student)).sum(1).mean()
    return {
        "distillation": float(temperature**2 * divergence),
        "cross_entropy": float(-log_softmax(hybrid)[range(IMAGES), lesson.labels.numpy()].mean()),
        "feature_transfer": float(((unit - unit_goal) ** 2).sum(1).mean()),
    }


@pytest.mark.parametrize("weights", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.9, 0.1, 20)])
@pytest.mark.parametrize("part", [0, 2])
def test_every_piece_of_the_loss(
    weights: tuple[float, float, float], part: int, teacher: Teacher, lesson: Lesson
) -> None:
    student = warm(ensemble(teacher), lesson).student(part)
    generator = torch.Generator().manual_seed(part)
    kept = torch.randint(0, 2, (IMAGES, 3), generator=generator).float()
    before = kept.clone()
    names = ("distillation", "cross_entropy", "feature_transfer")
    plan = section(temperature=3.0, **dict(zip(names, weights, strict=True)))
    with torch.no_grad():
        with autocast():
            features = student(lesson.images).float()
        loss = float(student_loss(plan, student, part, features, lesson, kept, teacher.bias))
    expected = pieces(features, lesson, teacher, part, kept.numpy())
    assert loss == pytest.approx(sum(w * expected[n] for w, n in zip(weights, names, strict=True)), rel=1e-4)
    assert torch.equal(kept, before)


def distilled(teacher: Teacher, lesson: Lesson, threads: int, steps: int = 4) -> Ensemble:
    students = ensemble(teacher)
    students.train()
    optimizer = torch.optim.SGD(students.parameters(), lr=0.05, momentum=0.9)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with distillation_step(section(), students, teacher, PARTITION) as step:
            for number in range(steps):
                optimizer.zero_grad()
                step(Batch(lesson.images, lesson.labels), torch.Generator().manual_seed(number))
                optimizer.step()
    finally:
        torch.set_num_threads(before)
    return students


def test_students_do_not_depend_on_the_number_of_cores(teacher: Teacher, lesson: Lesson) -> None:
    one = distilled(teacher, lesson, threads=1)
    for threads in (2, 4):
        other = distilled(teacher, lesson, threads)
        for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
            assert torch.equal(a, b), name


def test_distillation_lowers_the_loss_and_leaves_the_teacher_alone(teacher: Teacher, lesson: Lesson) -> None:
    before = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    students = ensemble(teacher)
    students.train()
    optimizer = torch.optim.SGD(students.parameters(), lr=0.02)
    losses = []
    with distillation_step(section(keep_parts=1.0), students, teacher, PARTITION) as step:
        for _ in range(25):
            optimizer.zero_grad()
            losses.append(step(Batch(lesson.images, lesson.labels), torch.Generator()))
            optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(before[name], value) for name, value in teacher.network.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.network.parameters())


def test_one_broken_student_is_told_and_not_swallowed(teacher: Teacher, lesson: Lesson) -> None:
    students = ensemble(teacher)
    students.students[3] = torch.nn.Identity()
    with (
        distillation_step(section(), students, teacher, PARTITION) as step,
        pytest.raises(AssertionError),
    ):
        step(Batch(lesson.images, lesson.labels), torch.Generator())


def test_what_the_teacher_said_before_is_as_good_as_asking_it(teacher: Teacher, lesson: Lesson) -> None:
    losses = []
    for pooled in (None, teacher(lesson.images)[0]):
        students = ensemble(teacher)
        students.train()
        with distillation_step(section(), students, teacher, PARTITION) as step:
            losses.append(step(Batch(lesson.images, lesson.labels, pooled), torch.Generator().manual_seed(0)))
    assert losses[0] == losses[1]


def test_a_filter_in_two_parts_counts_half_in_each(teacher: Teacher, lesson: Lesson) -> None:
    twice = PARTITION.overlapping(2)
    pooled, _ = teacher(lesson.images)
    targets = make_targets(teacher, twice, pooled)
    merged = teacher.bias + targets.part_logits.sum(1)
    np.testing.assert_allclose(merged, pooled @ teacher.weight.T + teacher.bias, atol=1e-5)
    students = build_ensemble(section(), teacher, twice, 1, True, 0)
    expected = teacher.weight[:, list(twice.parts[1])] / 2
    assert torch.equal(students.student(1).columns, expected)


def test_a_linear_head_learns_its_columns_whatever_the_part(teacher: Teacher, lesson: Lesson) -> None:
    students = build_ensemble(section(head="linear"), teacher, PARTITION, 1, True, 0)
    students.train()
    features = students.student(2)(lesson.images)
    assert features.shape == (IMAGES, 16)
    assert students.student(2).partial_logits(features).shape == (IMAGES, CLASSES)
    with distillation_step(section(head="linear"), students, teacher, PARTITION) as step:
        step(Batch(lesson.images, lesson.labels), torch.Generator())
    for index in range(COUNT):
        gradient = students.student(index).columns.grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize("head", ["linear", "bridge"])
def test_students_start_from_a_trunk(teacher: Teacher, head: str) -> None:
    whole = Partition("random", (tuple(range(16)),))
    trunk = build_ensemble(
        StudentsSection(count=2, architecture="wrn-10-0.25", head="linear"), teacher, whole, 1, True, 5
    )
    students = build_ensemble(section(head=head), teacher, PARTITION, 1, True, 0)
    start_from(trunk, students)
    origins = [
        [torch.equal(students.student(i).body[0].weight, trunk.student(j).body[0].weight) for j in range(2)]
        for i in range(COUNT)
    ]
    assert all(sum(row) == 1 for row in origins)
    assert origins[0] != origins[3]  # replicas of part 0
    alone = build_ensemble(section(head=head), teacher, whole, 1, True, 0)
    start_from(trunk, alone)
    assert torch.equal(alone.student(1).columns, trunk.student(1).columns) == (head == "linear")


def test_whoever_answers_is_merged_as_the_bundle_would(teacher: Teacher, lesson: Lesson) -> None:
    students = warm(ensemble(teacher), lesson)
    with torch.no_grad():
        partials = students.partials(lesson.images)
    answering = draw_answering(IMAGES, COUNT, 0.6, torch.Generator().manual_seed(2))
    assert answering.sum(1).min() >= 1
    assert 0.2 < answering.mean() < 0.7
    merged = merge_answering(partials, answering, students.student_parts, students.bias)
    merger = Merger(students.student_parts, students.bias.numpy(), partials.mean(1).numpy(), "zero")
    for image in range(IMAGES):
        members = {i: partials[i, image : image + 1].numpy() for i in range(COUNT) if answering[image, i]}
        np.testing.assert_allclose(merged[image : image + 1], merger.merge(members), atol=1e-5)


def test_the_joint_loss_reaches_every_student_as_one_graph_would(teacher: Teacher, lesson: Lesson) -> None:
    plan = section(joint=2.0, failout=0.3, distillation=1.0, feature_transfer=0.0)
    students = ensemble(teacher).eval()  # the batch's own statistics are no matter here
    with distillation_step(plan, students, teacher, PARTITION) as step:
        step(Batch(lesson.images, lesson.labels), torch.Generator().manual_seed(4))
    found = [parameter.grad.clone() for parameter in students.parameters()]  # type: ignore[union-attr]
    students.zero_grad()
    generator = torch.Generator().manual_seed(4)
    kept = (torch.rand((COUNT, IMAGES, 3), generator=generator) < plan.keep_parts).float()
    answering = draw_answering(IMAGES, COUNT, plan.failout, generator)
    with autocast():
        features = [students.student(i)(lesson.images).float() for i in range(COUNT)]
    partials = torch.stack([students.student(i).partial_logits(features[i]) for i in range(COUNT)])
    merged = merge_answering(partials, answering, students.student_parts, students.bias)
    loss = plan.joint * imitation_loss(plan, merged, lesson)
    for i, part in enumerate(students.student_parts):
        loss = loss + student_loss(
            plan, students.student(i), part, features[i], lesson, kept[i], students.bias
        )
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter, gradient in zip(students.parameters(), found, strict=True):
        assert parameter.grad is not None
        np.testing.assert_allclose(gradient, parameter.grad, rtol=0.05, atol=1e-3)
