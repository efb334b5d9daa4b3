"""Whole builds and single steps: what is done again, what is refused, and what a crash leaves."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from bundle import Bundle
from bundle.errors import NonnError, StorageError
from nonn.cli import main
from nonn.planning.networks import Image, Network, student_cost
from partitioner import PartitionError
from student_builder import build, load_experiment, run_step
from student_builder.errors import DataError, ExperimentError, TeacherError
from student_builder.onnx_export import run_students
from student_builder.pipeline import StepName
from student_builder.workspace import Workspace
from tests.student_builder.conftest import Built
from tests.student_builder.small import (
    PARTS,
    SCHEDULE,
    STUDENTS,
    TRAIN,
    VALIDATION,
    Recorder,
    digits,
    write_experiment,
)

TEACHER, GRAPH, SPLIT = "train the teacher", "watch the filters", "split the filters"
DISTIL = f"distil {STUDENTS} students"
EPOCHS = 12


def ran(step: StepName, experiment: Path, work: Path) -> list[str]:
    progress = Recorder()
    run_step(step, load_experiment(experiment), work, progress=progress)
    return list(progress.tasks)


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


def test_the_bundle_is_what_the_experiment_says(built: Built) -> None:
    bundle = Bundle.load(built.work / "bundle")
    manifest = bundle.manifest
    assert manifest.id == built.bundle.manifest.id
    assert manifest.name == "small"
    assert manifest.input.shape == (8, 8, 1)
    assert manifest.labels == tuple(f"digit {k}" for k in range(10))
    assert manifest.part_sizes == (8, 8)
    assert manifest.student_parts == (0, 1, 0)
    assert manifest.validation_images == VALIDATION
    assert manifest.teacher_accuracy is not None
    assert 0 < manifest.teacher_accuracy <= 1
    assert manifest.experiment["students"]["architecture"] == "wrn-10-0.25"
    assert manifest.experiment["data"]["validation"] == VALIDATION
    assert len(manifest.experiment["data"]["mean"]) == 1
    assert set(manifest.experiment["versions"]) >= {"nonn", "torch", "python"}
    assert str(built.work) not in json.dumps(dict(manifest.experiment))


def test_parts_of_given_sizes_have_students_of_given_architectures(tmp_path: Path) -> None:
    experiment = write_experiment(
        tmp_path,
        partition={"parts": None, "sizes": [4, 12]},
        students={"architecture": ["wrn-10-0.125", "wrn-10-0.25"]},
    )
    build(load_experiment(experiment), tmp_path / "work", progress=Recorder())
    bundle = Bundle.load(tmp_path / "work" / "bundle")
    assert bundle.manifest.part_sizes == (4, 12)
    image = Image(8, 8, 1)
    for student in bundle.manifest.students:
        width, filters = ((0.125, 4), (0.25, 12))[student.part]
        assert student.multiply_adds == student_cost(Network(10, width), image, filters, 10).multiply_adds


def test_the_self_test_holds_and_shows_nobodys_images(built: Built) -> None:
    test = built.bundle.self_test
    models = [built.bundle.student_bytes(student) for student in range(STUDENTS)]
    np.testing.assert_allclose(list(run_students(models, test.images)), test.partials, atol=1e-5)
    arrays = digits()
    known = {image.tobytes() for split in ("train", "test") for image in arrays[f"{split}_images"]}
    assert not known & {image.tobytes() for image in test.images}


def test_the_moments_are_those_of_training_images(built: Built) -> None:
    workspace = Workspace(load_experiment(built.experiment), built.work)
    models = [built.bundle.student_bytes(student) for student in range(STUDENTS)]
    partials = np.stack(list(run_students(models, workspace.train.first(100).images)))
    np.testing.assert_allclose(built.bundle.merger.means, partials.mean(1), atol=1e-4)


def test_everything_a_step_needs_is_done_only_once(built: Built, tmp_path: Path) -> None:
    work = built.copy(tmp_path / "work")
    assert ran("partition", built.experiment, work) == []
    assert ran("distill", built.experiment, work) == []


@pytest.mark.slow
def test_steps_one_by_one_make_the_same_bundle(built: Built, tmp_path: Path) -> None:
    experiment = load_experiment(built.experiment)
    assert ran("partition", built.experiment, tmp_path) == [TEACHER, GRAPH, SPLIT]
    assert ran("distill", built.experiment, tmp_path) == [DISTIL]
    run_step("export", experiment, tmp_path, tmp_path / "elsewhere")
    assert Bundle.load(tmp_path / "elsewhere").manifest.id == built.bundle.manifest.id
    assert not (tmp_path / "bundle").exists()
    assert {path.name for path in (tmp_path / "partition").iterdir()} == {
        "partition.json",
        "picture.png",
    }


@pytest.mark.parametrize(
    ("changes", "partition", "distill"),
    [
        ({"merge": {"fill": "zero"}}, [], []),
        ({"top": {"name": "other"}}, [], []),
        ({"students": {"mirror": True}}, [], [DISTIL]),  # the best epoch is the best of what is served
        ({"students": {"learning_rate": 0.05}}, [], [DISTIL]),
        ({"partition": {"method": "random"}}, [SPLIT], [DISTIL]),
        ({"partition": {"images": 90}}, [GRAPH, SPLIT], [DISTIL]),
        ({"teacher__train": {"epochs": 1}}, [TEACHER, GRAPH, SPLIT], [DISTIL]),
        ({"data": {"validation": 50}}, [TEACHER, GRAPH, SPLIT], [DISTIL]),
        ({"top": {"seed": 1}}, [TEACHER, GRAPH, SPLIT], [DISTIL]),
    ],
)
def test_a_change_runs_only_what_follows_it(
    changes: dict[str, Any], partition: list[str], distill: list[str], built: Built, tmp_path: Path
) -> None:
    work = built.copy(tmp_path / "work")
    changed = write_experiment(tmp_path, **changes)
    if partition:
        with pytest.raises(ExperimentError, match="run nonn partition first"):
            run_step("export", load_experiment(changed), built.copy(tmp_path / "second"))
    assert ran("partition", changed, work) == partition
    if distill:
        with pytest.raises(ExperimentError, match="run nonn distill first"):
            run_step("export", load_experiment(changed), work)
    assert ran("distill", changed, work) == distill
    assert Bundle.load(work / "bundle").manifest.id == built.bundle.manifest.id


def test_changed_data_is_noticed(built: Built, tmp_path: Path) -> None:
    work = built.copy(tmp_path / "work")
    arrays = digits()
    arrays["train_images"][0, 0, 0, 0] ^= 1
    np.savez(tmp_path / "digits.npz", **arrays)
    assert ran("partition", write_experiment(tmp_path), work) == [TEACHER, GRAPH, SPLIT]


@pytest.mark.parametrize(
    ("lost", "partition", "distill"),
    [
        ("teacher/weights.safetensors", [TEACHER], []),
        ("partition/partition.json", [SPLIT], []),
        ("students/students.safetensors", [], [DISTIL]),
        ("students/report.json", [], [DISTIL]),
    ],
)
@pytest.mark.parametrize("damage", [True, False])
def test_a_lost_or_damaged_file_is_made_again(
    lost: str, damage: bool, partition: list[str], distill: list[str], built: Built, tmp_path: Path
) -> None:
    work = built.copy(tmp_path / "work")
    before = (work / "students" / "students.safetensors").read_bytes()
    if damage:
        (work / lost).write_bytes((work / lost).read_bytes()[:-5])
    else:
        (work / lost).unlink()
    assert ran("partition", built.experiment, work) == partition
    assert ran("distill", built.experiment, work) == distill
    assert (work / "students" / "students.safetensors").read_bytes() == before


def test_a_seed_on_the_command_line_counts_as_the_files(built: Built, tmp_path: Path) -> None:
    work = tmp_path / "work"
    assert main(["partition", str(built.experiment), "--work", str(work), "--seed", "7"]) == 0
    assert ran("partition", write_experiment(tmp_path, top={"seed": 7}), work) == []
    assert ran("partition", write_experiment(tmp_path), work) == [TEACHER, GRAPH, SPLIT]


def test_a_failed_build_leaves_the_earlier_bundle_whole(built: Built, tmp_path: Path) -> None:
    work = built.copy(tmp_path / "work")
    changed = write_experiment(tmp_path, students={"learning_rate": 1e9, "epochs": 8})
    with pytest.raises(ExperimentError, match=f"{DISTIL}: the loss is .*: lower the learning_rate"):
        build(load_experiment(changed), work)
    assert Bundle.load(work / "bundle").manifest.id == built.bundle.manifest.id


def test_two_builds_in_one_folder(built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = built.copy(tmp_path / "work")
    with Workspace(load_experiment(built.experiment), work).locked():
        for command in ("build", "partition", "distill", "export"):
            assert main([command, str(built.experiment), "--work", str(work)]) == 8
            error = capsys.readouterr().err
            assert error == (
                f"nonn: another build is at work in {work}: wait for it or name another --work\n"
            )
    assert ran("distill", built.experiment, work) == []


@pytest.mark.parametrize("option", ["--work", "--output"])
def test_a_folder_that_cannot_be_written(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    options = {"--work": str(tmp_path / "work"), option: str(tmp_path / "file" / "x")}
    words = [word for pair in options.items() for word in pair]
    assert main(["build", str(write_experiment(tmp_path)), *words]) == 8
    error = capsys.readouterr().err
    assert error.startswith("nonn: cannot write ")
    assert error.count("\n") == 1
    assert not (tmp_path / "work" / "teacher").exists()  # nothing was trained in vain


def test_something_else_where_the_bundle_should_go(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="mine"):
        build(load_experiment(write_experiment(tmp_path)), tmp_path / "work", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"data": {"source": "npz:gone.npz"}}, DataError, "there is no data file"),
        ({"data": {"validation": 300}}, DataError, "300 validation images cannot be taken from 300"),
        ({"data": {"mean": [0.1, 0.2]}}, ExperimentError, "need 1 numbers each"),
        ({"data": {"mean": []}}, ExperimentError, "need 1 numbers each"),
        ({"data": {"std": [0.0]}}, ExperimentError, "every std above 0"),
        ({"teacher": {"module": "gone.py:Net"}}, TeacherError, "there is no teacher module"),
        ({"teacher": {"features": "head"}}, TeacherError, "'head' gives no feature map"),
        (
            {"teacher": {"arguments": {"depth": 10, "width": 0.25, "channels": 1, "classes": 7}}},
            TeacherError,
            "tells 7 classes apart and the data has 10",
        ),
        (
            {"teacher": {"arguments": {"depth": 10, "width": 0.25, "channels": 3, "classes": 10}}},
            TeacherError,
            "does not take images of [1, 8, 8]",
        ),
        ({"teacher": {"weights": "gone.pt"}, "teacher__train": None}, TeacherError, "no weight file"),
        ({"partition": {"parts": 17}, "students": {"count": 16}}, ExperimentError, "cannot cover 17 parts"),
        ({"partition": {"sizes": [8, 9], "parts": None}}, PartitionError, "16 filters"),
        ({"students": {"architecture": "wrn-9-1"}}, ExperimentError, "students.architecture: "),
        ({"students": {"crop_padding": 8}}, ExperimentError, "students.crop_padding is 8"),
        ({"teacher__train": {"crop_padding": 9}}, ExperimentError, "teacher.train.crop_padding is 9"),
        (
            {"students": {"small_epochs": 1, "small_size": 9}},
            ExperimentError,
            "students.small_size is 9, above",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_any_training(
    changes: dict[str, Any], error: type[NonnError], said: str, tmp_path: Path
) -> None:
    if changes.get("teacher__train", 0) is None:
        changes = {**changes, "teacher__train": dict.fromkeys(small_schedule())}
    progress = Recorder()
    with pytest.raises(error) as caught:
        build(load_experiment(write_experiment(tmp_path, **changes)), tmp_path / "work", progress=progress)
    assert said in one_line(caught.value)
    assert progress.tasks == {}


def small_schedule() -> list[str]:
    from tests.student_builder.small import TABLES

    return list(TABLES["teacher.train"])


def test_crops_that_are_too_small_for_the_teacher(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Conv2d(1, 8, 3), nn.AvgPool2d(6), nn.Flatten(), nn.Linear(8, 10))\n"
    )
    changes: dict[str, Any] = {"teacher": {"module": "net.py:Net", "arguments": {}}}
    path = write_experiment(tmp_path, **changes, students={"small_epochs": 1, "small_size": 6})
    with pytest.raises(ExperimentError, match="does not take images so small"):
        build(load_experiment(path), tmp_path / "work")


def test_more_parts_than_filters(tmp_path: Path) -> None:
    arguments = {"depth": 10, "width": 0.05, "channels": 1, "classes": 10}  # 3 filters
    changes: dict[str, Any] = {"teacher": {"arguments": arguments}, "partition": {"parts": 4}}
    path = write_experiment(tmp_path, **changes, students={"count": 4})
    with pytest.raises(PartitionError, match="cannot make 4 parts of 3 filters"):
        build(load_experiment(path), tmp_path / "work")


def test_a_covariance_beyond_all_measure(tmp_path: Path) -> None:
    arrays = digits() | {"label_names": np.array([f"class {k}" for k in range(2000)])}
    np.savez(tmp_path / "digits.npz", **arrays)
    arguments = {"depth": 10, "width": 0.25, "channels": 1, "classes": 2000}
    with pytest.raises(ExperimentError, match=r"6000 x 6000 covariance.*use 'mean'"):
        build(
            load_experiment(write_experiment(tmp_path, teacher={"arguments": arguments})), tmp_path / "work"
        )


@pytest.fixture
def running(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`nonn build` in a process of its own, with many epochs for its students."""
    words = ["build", str(long_experiment(tmp_path)), "--work", str(tmp_path / "work")]
    process = subprocess.Popen(
        [sys.executable, "-m", "nonn", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    with process:
        yield process
        process.kill()


def long_experiment(folder: Path) -> Path:
    return write_experiment(folder, teacher__train={"epochs": 1}, students={"epochs": EPOCHS})


def wait_for(path: Path, process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Files give no notice when they appear."""
    deadline, never = time.monotonic() + seconds, threading.Event()
    while not path.exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        never.wait(0.01)


@pytest.mark.slow
def test_a_killed_build_goes_on_where_it_was(
    running: "subprocess.Popen[bytes]", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, state = tmp_path / "work", tmp_path / "work" / "students" / "state.safetensors"
    wait_for(state, running, 120)
    running.send_signal(signal.SIGSTOP)  # however long the rest takes, it gets no further
    experiment = tmp_path / "small.toml"
    assert main(["build", str(experiment), "--work", str(work)]) == 8
    assert "another build is at work" in capsys.readouterr().err
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    assert not (work / "bundle").exists()
    with safe_open(state, "pt") as file:
        epoch = json.loads(file.metadata()["nonn"])["epoch"]
    assert 0 < epoch < EPOCHS

    progress = Recorder()
    bundle = build(load_experiment(experiment), work, progress=progress)
    steps = (TRAIN - VALIDATION) // SCHEDULE["batch_size"]
    assert TEACHER not in progress.tasks
    assert GRAPH not in progress.tasks
    assert progress.tasks[DISTIL] >= epoch * steps
    assert Bundle.load(work / "bundle").manifest.id == bundle.manifest.id
    assert bundle.manifest.parts == PARTS

    run_step("partition", load_experiment(experiment), tmp_path / "again")
    run_step("distill", load_experiment(experiment), tmp_path / "again")
    weights = "students/students.safetensors"
    assert (work / weights).read_bytes() == (tmp_path / "again" / weights).read_bytes()
    assert not state.exists()


def test_a_step_does_not_train_a_lost_teacher_again(built: Built, tmp_path: Path) -> None:
    work = built.copy(tmp_path / "work")
    weights = work / "teacher" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    for step in ("distill", "export"):
        with pytest.raises(ExperimentError, match="run nonn partition first"):
            ran(step, built.experiment, work)  # type: ignore[arg-type]


def test_a_partition_file_without_a_partition_counts_as_none(built: Built, tmp_path: Path) -> None:
    work = built.copy(tmp_path / "work")
    file = work / "partition" / "partition.json"
    report = json.loads(file.read_text())
    del report["partition"]
    file.write_text(json.dumps(report))
    assert SPLIT in ran("partition", built.experiment, work)


def test_a_file_in_the_place_of_a_folder(built: Built, tmp_path: Path) -> None:
    work = built.copy(tmp_path / "work")
    for file in (work / "partition").iterdir():
        file.unlink()
    (work / "partition").rmdir()
    (work / "partition").write_text("in the way")
    with pytest.raises(StorageError, match="partition"):
        ran("partition", built.experiment, work)
