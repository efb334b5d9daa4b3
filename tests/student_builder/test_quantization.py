"""`nonn quantize` on the sample of digits: real students, real data, ONNX Runtime's own int8."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from bundle import Bundle, StorageError, read_files, subset_accuracy
from nonn.cli import main
from student_builder import DataError, Quantization, evaluate, load_data, quantize
from student_builder.errors import AccuracyError
from student_builder.evaluation import select_split
from student_builder.int8_graph import quantise
from student_builder.onnx_export import export_student, run_students
from student_builder.student import Student

DIGITS = Path(__file__).resolve().parents[2] / "samples" / "digits"
# Wide enough for whatever another version of ONNX Runtime rounds: what is tested is not how good int8 is.
MAX_DROP = 3.0


@pytest.fixture(scope="module")
def quantised() -> Quantization:
    return quantize(Bundle.load(DIGITS), "digits", MAX_DROP)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DIGITS, tmp_path / "digits"))


def test_the_graph_computes_in_int8_what_was_chosen() -> None:
    bundle = Bundle.load(DIGITS)
    images = load_data("digits").train_images[:64]
    twin = onnx.load_from_string(quantise(bundle.student_bytes(0), images))
    convolutions = [node for node in twin.graph.node if node.op_type == "Conv"]
    made_by = {output: node.op_type for node in twin.graph.node for output in node.output}
    quantised = [made_by.get(node.input[1]) == "DequantizeLinear" for node in convolutions]
    assert quantised == [False] + [True] * 9
    types = Counter(initializer.data_type for initializer in twin.graph.initializer)
    assert types[onnx.TensorProto.INT8] >= 9
    assert not types[onnx.TensorProto.UINT8], "all is signed: what ARM is best at"
    assert {node.op_type for node in twin.graph.node} >= {"Gemm", "ReduceMean"}


def test_a_mirrored_student_has_a_twin_that_runs() -> None:
    """The weights are in its graph once, though it looks at two images."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        student = Student("compact-8-12", 1, torch.randn(10, 8), head="linear", mirror=True).eval()
    images = load_data("digits").train_images[:64]
    model = export_student(student, (0.5,), (0.5,), (8, 8, 1))
    (exact,), (found,) = (list(run_students([graph], images)) for graph in (model, quantise(model, images)))
    assert np.abs(found - exact).mean() < 0.1 * exact.std()


def test_weights_have_a_scale_for_each_channel_and_no_zero_point() -> None:
    bundle = Bundle.load(DIGITS)
    twin = onnx.load_from_string(quantise(bundle.student_bytes(0), load_data("digits").train_images[:64]))
    arrays = {item.name: onnx.numpy_helper.to_array(item) for item in twin.graph.initializer}
    weights = [
        arrays[node.input[0]]
        for node in twin.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in arrays
        if arrays[node.input[0]].ndim == 4
    ]
    assert len(weights) == 9
    for node in twin.graph.node:
        if node.op_type == "DequantizeLinear" and arrays.get(node.input[0], np.zeros(0)).ndim == 4:
            assert arrays[node.input[1]].shape == (len(arrays[node.input[0]]),)
            assert not arrays[node.input[2]].any()
            assert arrays[node.input[0]].min() >= -127, "-128 could overflow 16 bits on a Cortex-A72"


def test_the_twins_answer_nearly_as_the_students_do(quantised: Quantization) -> None:
    images = load_data("digits").test_images
    models = [quantised.bundle.student_bytes(index) for index in range(8)]
    fp32, int8 = (np.stack(list(run_students(m, images))) for m in (models, quantised.models))
    error = np.sqrt(((int8 - fp32) ** 2).mean(axis=(1, 2)) / fp32.var(axis=(1, 2)))
    assert (error > 0).all(), "int8 it is"
    assert (error < 0.05).all()


def test_what_is_reported_is_what_the_written_bundle_does(quantised: Quantization, tmp_path: Path) -> None:
    written = quantised.write(tmp_path / "int8")
    bundle = Bundle.load(written.path)
    assert bundle.twins is not None
    assert bundle.manifest.twins == tuple(sorted(quantised.kept)) == tuple(range(8))
    evaluation = evaluate(bundle, "digits", "validation", precision="int8")
    np.testing.assert_array_equal(evaluation.accuracy, bundle.twins.accuracy)
    facts = quantised.to_dict()
    assert facts["every_subset"][-1]["int8"] == evaluation.accuracy[-1]
    assert facts["students"][3]["int8_bytes"] == len(bundle.student_bytes(3, "int8"))
    assert facts["students"][3]["int8_bytes"] < facts["students"][3]["bytes"]
    assert max(row["largest_drop"] for row in facts["by_lost"].values()) <= 2 * MAX_DROP


def test_a_student_that_is_left_out_answers_in_fp32(quantised: Quantization, tmp_path: Path) -> None:
    bundle = quantised.bundle
    images, labels = select_split(bundle, load_data("digits"), "validation")
    partials = [
        next(run_students([quantised.models[i] if i in {1, 4} else bundle.student_bytes(i)], images))
        for i in range(8)
    ]
    accuracy = subset_accuracy(bundle.merger, np.stack(partials), labels)
    chosen = Quantization(
        bundle, "digits", MAX_DROP, quantised.models, quantised.first, frozenset({1, 4}), accuracy
    )
    written = chosen.write(tmp_path / "int8")
    assert written.manifest.twins == (1, 4)
    np.testing.assert_array_equal(
        evaluate(written, "digits", "validation", precision="int8").accuracy, accuracy
    )


def test_the_self_test_tells_int8_from_a_wrong_graph(quantised: Quantization, tmp_path: Path) -> None:
    bundle = quantised.write(tmp_path / "int8")
    assert bundle.twins is not None
    for entry in bundle.manifest.students:
        assert entry.int8 is not None
        (again,) = run_students([bundle.student_bytes(entry.index, "int8")], bundle.self_test.images)
        off = np.abs(again - bundle.twins.partials[entry.index]).max()
        assert off <= entry.int8.tolerance
        other = (entry.index + 1) % 8
        wrong = np.abs(bundle.twins.partials[other] - bundle.twins.partials[entry.index]).max()
        assert wrong > 10 * entry.int8.tolerance


def test_calibration_never_sees_what_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, data = Bundle.load(DIGITS), load_data("digits")
    validation, _ = select_split(bundle, data, "validation")
    training, _ = select_split(bundle, data, "train")
    seen = []

    def record(model: bytes, images: Any) -> bytes:
        seen.append(images)
        return model

    monkeypatch.setattr("student_builder.quantization.quantise", record)
    result = quantize(bundle, "digits")
    assert result.kept == frozenset(range(8)), "the same graphs lose nothing"
    np.testing.assert_array_equal(result.accuracy, bundle.accuracy)
    known = {image.tobytes() for image in training} - {image.tobytes() for image in validation}
    for images in seen:
        assert len(images) == 256
        assert {image.tobytes() for image in images} <= known


def test_when_none_is_good_enough_nothing_is_written(quantised: Quantization, tmp_path: Path) -> None:
    nothing = Quantization(
        quantised.bundle,
        "digits",
        0.0,
        quantised.models,
        quantised.first,
        frozenset(),
        quantised.bundle.accuracy,
    )
    with pytest.raises(AccuracyError, match="--max-drop allows 0 and 0"):
        nothing.write(tmp_path / "int8")
    assert nothing.to_dict()["every_subset"][0]["int8"] == nothing.first[1], "what it was refused for"
    assert not (tmp_path / "int8").exists()


def test_other_data_is_refused(copy: Path, tmp_path: Path) -> None:
    data = load_data("digits")
    np.savez(
        tmp_path / "other.npz",
        train_images=data.train_images[:-1],
        train_labels=data.train_labels[:-1],
        test_images=data.test_images,
        test_labels=data.test_labels,
        label_names=np.array(data.label_names),
    )
    with pytest.raises(DataError, match="not the data"):
        quantize(Bundle.load(copy), f"npz:{tmp_path / 'other.npz'}")


@pytest.mark.slow
def test_from_the_command_line_and_back(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_files(copy)
    argv = ["quantize", str(copy), "--max-drop", str(MAX_DROP), "--json"]
    assert main(argv) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["kept"], first["changed"], first["written"]) == (list(range(8)), True, str(copy))
    assert Bundle.load(copy).manifest.id == first["id"]

    assert main(argv) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["id"], again["changed"]) == (first["id"], False)

    output = copy.parent / "evaluation.json"
    assert main(["evaluate", str(copy), "--precision", "int8", "--output", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "int8"

    assert main(["quantize", str(copy), "--remove"]) == 0
    assert "8 int8 twins removed" in capsys.readouterr().out
    assert read_files(copy) == before
    assert main(["quantize", str(copy), "--remove"]) == 0
    assert "is as it was" in capsys.readouterr().out


@pytest.mark.slow
def test_it_says_no_by_its_exit_code(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_files(copy)
    monkeypatch.setattr("student_builder.gate.passes", lambda *_: False)
    assert main(["quantize", str(copy), "--json"]) == 19
    printed = capsys.readouterr()
    assert json.loads(printed.out)["written"] is None
    assert "nothing is written" in printed.err
    assert read_files(copy) == before


def test_int8_is_evaluated_only_where_there_is_some(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(DIGITS), "--precision", "int8"]) == 4
    assert "nonn quantize" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["-1", "101", "nan", "much"])
def test_a_limit_that_makes_no_sense(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", str(DIGITS), f"--max-drop={text}"]) == 2
    assert "no number of points" in capsys.readouterr().err


def test_a_place_where_nothing_can_be_written_is_known_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["quantize", str(DIGITS), "--output", str(tmp_path)]) == StorageError.exit_code
    assert "not a bundle" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"
