"""int8 twins in a bundle: added, exchanged, removed, and read as carefully as all the rest."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import (
    Bundle,
    BundleContents,
    BundleError,
    StorageError,
    TwinContents,
    read_files,
    write_bundle,
    write_twins,
)
from bundle.document import manifest_id

MakeContents = Callable[..., BundleContents]


@pytest.fixture
def plain(tmp_path: Path, make_contents: MakeContents) -> Bundle:
    return write_bundle(tmp_path / "toy", make_contents())


def some_twins(bundle: Bundle, *students: int, seed: int = 1) -> TwinContents:
    random = np.random.RandomState(seed)
    accuracy = random.uniform(0, 1, len(bundle.accuracy))
    accuracy[0] = np.nan
    shape = bundle.self_test.partials.shape[1:]
    return TwinContents(
        models={student: random.bytes(50 + student) for student in students},
        tolerances={student: 0.25 + student for student in students},
        partials={student: random.normal(size=shape).astype(np.float32) for student in students},
        accuracy=accuracy.astype(np.float32),
        origin={"calibration_images": 7},
    )


def test_twins_are_read_as_they_were_written(plain: Bundle) -> None:
    contents = some_twins(plain, 3, 1)
    written = write_twins(plain, contents)
    bundle = Bundle.load(plain.path)

    assert bundle.manifest == written.manifest
    assert bundle.manifest.id != plain.manifest.id
    assert bundle.manifest.twins == (1, 3)
    assert bundle.manifest.experiment["int8"] == {"calibration_images": 7}
    assert bundle.twins is not None
    np.testing.assert_array_equal(bundle.twins.accuracy, np.asarray(contents.accuracy))
    assert sorted(bundle.twins.partials) == [1, 3]
    for student, model in contents.models.items():
        entry = bundle.manifest.students[student].int8
        assert entry is not None
        assert (entry.bytes, entry.tolerance) == (len(model), 0.25 + student)
        assert bundle.student_bytes(student, "int8") == (bundle.path / entry.file).read_bytes() == model
        assert bundle.find_model(entry.sha256) == model
        np.testing.assert_array_equal(bundle.twins.partials[student], contents.partials[student])
    for student in (-1, 0, 5):
        with pytest.raises(KeyError):
            bundle.student_bytes(student, "int8")


def test_all_else_stays(plain: Bundle) -> None:
    bundle = write_twins(plain, some_twins(plain, 0, 1, 2, 3, 4))
    for index in range(5):
        assert bundle.student_bytes(index) == plain.student_bytes(index)
    np.testing.assert_array_equal(bundle.accuracy, plain.accuracy)
    np.testing.assert_array_equal(bundle.self_test.partials, plain.self_test.partials)
    assert bundle.manifest.files["merge.npz"] == plain.manifest.files["merge.npz"]


def test_a_bundle_whose_twins_are_removed_is_the_one_before(plain: Bundle) -> None:
    before = read_files(plain.path)
    quantised = write_twins(plain, some_twins(plain, 0, 2))
    assert write_twins(quantised, None).manifest.id == plain.manifest.id
    assert read_files(plain.path) == before


def test_twins_replace_twins(plain: Bundle) -> None:
    first = write_twins(plain, some_twins(plain, 0, 2))
    assert write_twins(first, some_twins(plain, 4, seed=2)).manifest.twins == (4,)
    assert sorted(path.name for path in (plain.path / "students").glob("*.int8.onnx")) == [
        "student-4.int8.onnx"
    ]


def test_the_same_twins_make_the_same_bundle(plain: Bundle, tmp_path: Path) -> None:
    first = write_twins(plain, some_twins(plain, 0, 2), tmp_path / "other")
    assert first.path == tmp_path / "other"
    assert Bundle.load(plain.path).manifest.id == plain.manifest.id
    assert write_twins(plain, some_twins(plain, 0, 2)).manifest.id == first.manifest.id


def test_a_bundle_without_twins_keeps_the_version_that_older_ones_read(plain: Bundle) -> None:
    def version() -> int:
        number = json.loads((plain.path / "manifest.json").read_text())["version"]
        assert isinstance(number, int)
        return number

    assert version() == 1
    quantised = write_twins(plain, some_twins(plain, 0))
    assert version() == 2
    write_twins(quantised, None)
    assert version() == 1


def test_it_travels_as_a_whole(plain: Bundle) -> None:
    quantised = write_twins(plain, some_twins(plain, 1))
    received = Bundle.received(*read_files(plain.path))
    assert received.manifest == quantised.manifest
    assert received.student_bytes(1, "int8") == quantised.student_bytes(1, "int8")


def test_accuracy_to_expect_of_a_mix(plain: Bundle) -> None:
    bundle = write_twins(plain, some_twins(plain, 0, 1))
    assert bundle.twins is not None
    exact, rounded = bundle.accuracy[0b10011], bundle.twins.accuracy[0b10011]
    assert bundle.expected_accuracy([0, 1, 4]) == exact
    assert bundle.expected_accuracy([0, 1, 4], int8=[0, 1]) == rounded
    assert bundle.expected_accuracy([0, 1, 4], int8=[1]) == min(exact, rounded)
    assert math.isnan(bundle.expected_accuracy([]))
    for wrong in ([4], [2], [0, 9]):  # without a twin, not among those that answer, unknown
        with pytest.raises(ValueError, match="no int8 twin"):
            bundle.expected_accuracy([0, 1, 4], int8=wrong)


def test_a_bundle_that_was_exchanged_meanwhile_is_left_alone(
    plain: Bundle, make_contents: MakeContents
) -> None:
    newer = write_bundle(plain.path, make_contents(7))
    with pytest.raises(StorageError, match="meanwhile"):
        write_twins(plain, some_twins(plain, 0))
    assert Bundle.load(plain.path).manifest.id == newer.manifest.id


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": {5: b"x"}, "tolerances": {5: 1.0}},
        {"tolerances": {0: 0.0}},
        {"tolerances": {0: math.inf}},
        {"accuracy": np.zeros(32, np.float32)},
        {"accuracy": np.full(31, 0.5, np.float32)},
        {"partials": {0: np.full((2, 3), np.nan, np.float32)}},
        {"partials": {0: np.zeros((2, 2), np.float32)}},
        {"origin": {"drop": math.nan}},
    ],
)
def test_contents_that_do_not_fit_are_refused(plain: Bundle, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of many kinds; what counts is that nothing is written
        write_twins(plain, dataclasses.replace(some_twins(plain, 0), **wrong))
    assert Bundle.load(plain.path).manifest.id == plain.manifest.id


def tampered(folder: Path, **changes: Any) -> None:
    """Changes to the first student's int8 entry, under a sound id."""
    document = json.loads((folder / "manifest.json").read_text())
    document["students"][0]["int8"] |= changes
    document["id"] = manifest_id(document)
    (folder / "manifest.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    "changes",
    [{"tolerance": 0}, {"tolerance": "1"}, {"tolerance": 1e300}, {"file": "../x.onnx"}, {"file": None}],
)
def test_an_entry_that_makes_no_sense_is_refused(plain: Bundle, changes: dict[str, Any]) -> None:
    write_twins(plain, some_twins(plain, 0))
    tampered(plain.path, **changes)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.load(plain.path)


@pytest.mark.parametrize("name", ["students/student-0.int8.onnx", "int8.npz"])
@pytest.mark.parametrize("damage", [b"", None])
def test_a_damaged_or_missing_file_is_named(plain: Bundle, name: str, damage: bytes | None) -> None:
    write_twins(plain, some_twins(plain, 0))
    if damage is None:
        (plain.path / name).unlink()
    else:
        (plain.path / name).write_bytes(damage)
    with pytest.raises(BundleError, match=name):
        Bundle.load(plain.path)
