from pathlib import Path
from typing import Any

import pytest

from nonn.cli import main
from student_builder.errors import ExperimentError
from student_builder.experiment import load_experiment
from tests.student_builder.small import write_experiment

ROOT = Path(__file__).parents[2]


def test_every_key_has_its_value(tmp_path: Path) -> None:
    experiment = load_experiment(write_experiment(tmp_path, top={"seed": 5}))
    assert experiment.name == "small"
    assert experiment.seed == 5
    assert experiment.students.count == 3
    assert experiment.students.temperature == 4
    assert experiment.teacher.train is not None
    assert experiment.teacher.train.epochs == 2
    assert experiment.base == tmp_path
    assert experiment.resolve("x/y.py") == tmp_path / "x/y.py"


def test_the_name_is_the_files_when_left_out(tmp_path: Path) -> None:
    assert load_experiment(write_experiment(tmp_path, top={"name": None})).name == "small"


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.toml")), ids=lambda path: path.name)
def test_the_shipped_experiments(path: Path) -> None:
    assert load_experiment(path).name == path.stem


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"students": {"epoch": 3}}, "students.epoch: unknown key"),
        ({"top": {"base": "/"}}, "base: unknown key"),
        ({"studnets": {"count": 3}}, "studnets: unknown key"),
        ({"students": {"count": "many"}}, "students.count: "),
        ({"students": {"count": None}}, "students.count: "),
        ({"students": {"count": 17}}, "students.count: "),
        ({"students": {"epochs": 0}}, "students.epochs: "),
        ({"students": {"batch_size": 1}}, "students.batch_size: "),
        ({"students": {"learning_rate": -0.1}}, "students.learning_rate: "),
        ({"students": {"keep_parts": 1.5}}, "students.keep_parts: "),
        ({"students": {"small_epochs": 2}}, "small_epochs needs small_size"),
        ({"students": {"count": 1}}, "1 students cannot cover 2 parts: raise students.count"),
        (
            {"students": {"architecture": ["wrn-10-0.25"]}},
            "students.architecture: 1 for 2 parts: name one for all",
        ),
        (
            {"students": {"architecture": ["wrn-10-0.25", "wrn-10-0.5"]}, "trunk": {"epochs": 1}},
            "students that start from one trunk share its students.architecture: name one",
        ),
        ({"partition": {"sizes": [8, 8]}}, "partition: give either parts = NUMBER or sizes"),
        ({"partition": {"parts": None}}, "partition: give either parts = NUMBER or sizes"),
        ({"partition": {"method": "louvain", "sizes": [8, 8], "parts": None}}, "partition: louvain's sizes"),
        ({"partition": {"parts": 0}}, "partition.parts: "),
        ({"partition": {"method": "spectral"}}, "partition.method: "),
        ({"teacher": {"weights": "w.pt"}}, "teacher: give either weights = PATH or a [teacher.train]"),
        ({"merge": {"fill": "median"}}, "merge.fill: "),
        ({"top": {"name": "../elsewhere"}}, "name: "),
        ({"top": {"seed": -1}}, "seed: "),
        ({"top": {"seed": 2**32}}, "seed: "),
        ({"data": {"validation_seed": -1}}, "data.validation_seed: "),
        ({"data": {"validation": 0}}, "data.validation: "),
    ],
)
def test_what_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **changes)
    with pytest.raises(ExperimentError) as caught:
        load_experiment(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, students={"epochs": 0, "speed": 1}, merge={"fill": 1})
    with pytest.raises(ExperimentError, match=r"students\.epochs: .*students\.speed: .*merge\.fill: "):
        load_experiment(path)


def test_arguments_that_no_bundle_could_name(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    path.write_text(path.read_text().replace("arguments = { ", "arguments = { day = 2026-01-01, "))
    with pytest.raises(ExperimentError, match=r"teacher\.arguments\.day"):
        load_experiment(path)


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"[data]\n[data]\n"])
def test_files_that_are_no_toml(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ExperimentError) as caught:
        load_experiment(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", ["build", "partition", "distill", "export"])
def test_a_missing_file_ends_with_3(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path / "gone.toml")]) == 3
    error = capsys.readouterr().err
    assert error == f"nonn: there is no experiment file {tmp_path / 'gone.toml'}\n"


def test_a_seed_on_the_command_line_is_checked_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_experiment(tmp_path)
    assert main(["build", str(path), "--seed", "-1"]) == 3
    assert f"{path}: seed: " in capsys.readouterr().err
    assert load_experiment(path, seed=9) == load_experiment(write_experiment(tmp_path, top={"seed": 9}))
