import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundle import BundleError, InputError, Merger
from nonn.cli import main
from student_builder import evaluate, plot
from student_builder.errors import DataError
from student_builder.onnx_export import run_students
from tests.student_builder.conftest import Built
from tests.student_builder.small import STUDENTS, TEST, TRAIN, VALIDATION, Recorder, digits


@pytest.fixture(scope="module")
def source(built: Built) -> str:
    return f"npz:{built.experiment.parent / 'digits.npz'}"


def changed(folder: Path, **changes: Any) -> str:
    np.savez(folder / "changed.npz", **{**digits(), **changes})
    return f"npz:{folder / 'changed.npz'}"


def test_every_subset_is_judged_by_its_own_merge(built: Built, source: str) -> None:
    progress = Recorder()
    evaluation = evaluate(built.bundle, source, progress=progress)
    assert list(progress.tasks) == ["run the students", "merge every subset"]
    assert (evaluation.split, evaluation.images) == ("test", TEST)
    arrays = digits()
    models = [built.bundle.student_bytes(student) for student in range(STUDENTS)]
    partials = list(run_students(models, arrays["test_images"]))
    assert np.isnan(evaluation.accuracy[0])
    for mask in range(1, 2**STUDENTS):
        answering = {s: partials[s] for s in range(STUDENTS) if mask >> s & 1}
        right = built.bundle.merger.merge(answering).argmax(1) == arrays["test_labels"]
        assert evaluation.accuracy[mask] == pytest.approx(right.mean())


def test_lost_parts_can_be_filled_in_by_another_rule(built: Built, source: str) -> None:
    bundle = built.bundle
    arrays = digits()
    own = bundle.merger
    filled = evaluate(bundle, source, fill="zero")
    assert filled.to_dict()["fill"] == "zero"
    (partial,) = run_students([bundle.student_bytes(0)], arrays["test_images"])
    zero = Merger(own.student_parts, own.bias, own.means, "zero")
    right = zero.merge({0: partial}).argmax(1) == arrays["test_labels"]
    assert filled.accuracy[1] == pytest.approx(right.mean())


def test_ridge_needs_a_covariance(built: Built, source: str) -> None:
    own = built.bundle.merger
    merger = Merger(own.student_parts, own.bias, own.means, "zero")
    with pytest.raises(DataError, match="no covariance"):
        evaluate(replace(built.bundle, merger=merger), source, fill="ridge")


def test_the_validation_split_is_the_one_that_the_bundle_was_judged_on(built: Built, source: str) -> None:
    evaluation = evaluate(built.bundle, source, "validation")
    assert evaluation.images == VALIDATION
    np.testing.assert_array_equal(evaluation.accuracy, built.bundle.accuracy)
    assert evaluate(built.bundle, source, "train").images == TRAIN - VALIDATION


def test_the_file_says_mean_worst_and_best(
    built: Built, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "folder" / "result.json"
    words = ["evaluate", str(built.bundle.path), "--data", source, "--output", str(output)]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    saved = json.loads(output.read_text())
    assert printed.pop("saved") == [str(output), str(output.with_suffix(".png"))]
    assert printed == saved
    assert saved["bundle"] == built.bundle.manifest.id
    assert (saved["data"], saved["split"], saved["images"]) == (source, "test", TEST)
    assert set(saved["by_lost"]) == {"0", "1", "2"}
    every = {tuple(entry["answering"]): entry["accuracy"] for entry in saved["every_subset"]}
    assert len(every) == 2**STUDENTS - 1
    for lost, row in saved["by_lost"].items():
        values = [value for answering, value in every.items() if len(answering) == STUDENTS - int(lost)]
        assert row["subsets"] == len(values)
        assert row["mean"] == pytest.approx(np.mean(values))
        assert (row["worst"], row["best"]) == pytest.approx((min(values), max(values)))
    with Image.open(output.with_suffix(".png")) as picture:
        assert picture.width > 600
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10
    assert {path.name for path in output.parent.iterdir()} == {"result.json", "result.png"}


def test_the_table(built: Built, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(built.bundle.path), "--data", source, "--output", str(tmp_path / "r.json")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    rows = json.loads((tmp_path / "r.json").read_text())["by_lost"]
    for lost, row in rows.items():
        cells = [lost, str(row["subsets"]), *(f"{100 * row[k]:.2f} %" for k in ("mean", "worst", "best"))]
        assert any(line.replace(" %", "%").split() == [c.replace(" %", "%") for c in cells]
                   for line in shown.splitlines())  # fmt: skip
    assert str(tmp_path / "r.png") in shown


def test_a_plot_as_svg(built: Built, source: str, tmp_path: Path) -> None:
    plot(evaluate(built.bundle, source), tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"label_names": np.array(list("abcdefghij"))}, DataError, "name different classes"),
        (
            {f"{split}_images": digits()[f"{split}_images"][:, :6] for split in ("train", "test")},
            InputError,
            "6",
        ),
        (
            {f"{split}_images": digits()[f"{split}_images"].repeat(3, 3) for split in ("train", "test")},
            InputError,
            "3",
        ),
    ],
)
def test_data_of_another_kind(
    changes: dict[str, Any], error: type[Exception], said: str, built: Built, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said) as caught:
        evaluate(built.bundle, changed(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_other_images_have_no_validation_split(built: Built, tmp_path: Path) -> None:
    """Which images were held back is known of the bundle's own data only."""
    images = digits()["train_images"]
    images[0, 0, 0, 0] ^= 1
    source = changed(tmp_path, train_images=images)
    for split in ("validation", "train"):
        with pytest.raises(DataError, match="only --split test"):
            evaluate(built.bundle, source, split)  # type: ignore[arg-type]
    assert evaluate(built.bundle, source).images == TEST


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--data", "npz:gone.npz"], 4, "there is no data file gone.npz"),
        (["--data", "somewhere"], 4, "unknown data source"),
        ([], 4, "brings no data: name some with --data"),
        (["--data", "SOURCE", "--output", "FILE/x.json"], 8, "cannot write"),
        (["--data", "SOURCE", "--output", "picture.png"], 2, "picture.png"),
    ],
)
def test_what_the_command_refuses(
    words: list[str],
    code: int,
    said: str,
    built: Built,
    source: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    places = {"SOURCE": source, "FILE/x.json": str(tmp_path / "file" / "x.json")}
    assert main(["evaluate", str(built.bundle.path), *(places.get(word, word) for word in words)]) == code
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("nonn: ")
    assert said in last


def test_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path), "--data", "digits"]) == BundleError.exit_code
    assert str(tmp_path) in capsys.readouterr().err
