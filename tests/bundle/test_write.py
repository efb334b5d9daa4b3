"""What is written is what is read, and a good bundle is never lost."""

import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import Bundle, BundleContents, SelfTest, StorageError, check_target, write_bundle

MakeContents = Callable[..., BundleContents]


def only(folder: Path, *names: str) -> bool:
    return sorted(entry.name for entry in folder.iterdir()) == sorted(names)


def test_what_is_written_is_what_is_read(tmp_path: Path, make_contents: MakeContents) -> None:
    contents = make_contents()
    written = write_bundle(tmp_path / "a" / "toy", contents)
    bundle = Bundle.load(str(tmp_path / "a" / "toy"))
    manifest = bundle.manifest

    assert manifest == written.manifest
    assert (manifest.name, manifest.labels, manifest.part_sizes) == ("toy", ("ä", "b", "c"), (4, 4, 3))
    assert (manifest.classes, manifest.parts, manifest.student_parts) == (3, 3, (0, 1, 2, 0, 1))
    assert (manifest.fill, manifest.validation_images, manifest.teacher_accuracy) == ("ridge", 40, 0.75)
    assert manifest.experiment == {"seed": 0, "sizes": [1, 2]}
    assert [student.parameters for student in manifest.students] == [10, 11, 12, 13, 14]
    for index, model in enumerate(contents.student_models):
        entry = manifest.students[index]
        assert (entry.index, entry.bytes, entry.int8) == (index, len(model), None)
        assert bundle.student_bytes(index) == (bundle.path / entry.file).read_bytes() == model
        assert bundle.find_model(entry.sha256) == model
    np.testing.assert_array_equal(bundle.accuracy, np.asarray(contents.accuracy))
    np.testing.assert_array_equal(bundle.self_test.images, contents.self_test.images)
    np.testing.assert_array_equal(bundle.self_test.partials, contents.self_test.partials)
    assert only(tmp_path / "a", "toy")


def test_a_loaded_bundle_merges_bit_for_bit_as_the_written_one(
    tmp_path: Path, make_contents: MakeContents
) -> None:
    written = write_bundle(tmp_path / "toy", make_contents())
    loaded = Bundle.load(written.path)
    for mask in range(1, 2**5):
        answers = {i: partials for i, partials in enumerate(written.self_test.partials) if mask >> i & 1}
        np.testing.assert_array_equal(written.merger.merge(answers), loaded.merger.merge(answers))


def test_equal_contents_have_one_id(tmp_path: Path, make_contents: MakeContents) -> None:
    first, again, other = (
        write_bundle(tmp_path / name, make_contents(seed)) for name, seed in [("a", 0), ("b", 0), ("c", 1)]
    )
    assert first.manifest.id == again.manifest.id != other.manifest.id


def test_accuracies(tmp_path: Path, make_contents: MakeContents) -> None:
    accuracy = np.linspace(0, 1, 32, dtype=np.float32)
    accuracy[0] = np.nan
    bundle = write_bundle(tmp_path / "toy", make_contents(accuracy=accuracy))
    assert bundle.expected_accuracy(iter([3, 0])) == pytest.approx(9 / 31)
    assert math.isnan(bundle.expected_accuracy([]))
    with pytest.raises(ValueError, match="unknown student 5"):
        bundle.expected_accuracy([0, 5])
    assert [(row.lost, row.subsets) for row in bundle.by_lost()] == [(0, 1), (1, 5), (2, 10), (3, 10), (4, 5)]
    assert bundle.by_lost()[1].worst == pytest.approx(15 / 31)
    for unknown in (-1, 5):
        with pytest.raises(KeyError):
            bundle.student_bytes(unknown)
    assert bundle.find_model("0" * 64) is None


def test_the_covariance_is_stored_compactly(tmp_path: Path, make_contents: MakeContents) -> None:
    with np.load(write_bundle(tmp_path / "toy", make_contents()).path / "merge.npz") as archive:
        assert archive["covariance"].dtype == np.float32
        assert archive["covariance"].shape == (15 * 16 // 2,)


def test_no_covariance_is_needed_without_ridge(tmp_path: Path, make_contents: MakeContents) -> None:
    write_bundle(tmp_path / "toy", make_contents(fill="mean", covariance=None))
    assert Bundle.load(tmp_path / "toy").merger.covariance is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fill": "guess"}, "fill"),
        ({"covariance": None}, "covariance"),
        ({"labels": ["a", "b"]}, "bias"),
        ({"labels": ["a", "b", "\ud800"]}, "surrogates"),
        ({"part_sizes": [4, 7]}, "parts"),
        ({"student_models": [b""] * 4}, "zip"),
        ({"parameters": [1]}, "zip"),
        ({"student_parts": [0, 1, 1, 0, 1]}, "parts needs a student"),
        ({"accuracy": np.zeros(8)}, "accuracy"),
        ({"accuracy": np.zeros(32)}, "accuracy"),
        ({"validation_images": 0}, "validation_images"),
        ({"teacher_accuracy": float("nan")}, "not JSON compliant"),
        ({"teacher_accuracy": 74.4}, "teacher_accuracy"),
        ({"experiment": {"x": object()}}, "experiment"),
        ({"experiment": {"x": float("nan")}}, "not JSON compliant"),
        ({"self_test": SelfTest(np.zeros((0, 4, 5, 1), np.uint8), np.zeros((5, 0, 3), np.float32))}, "image"),
    ],
)
def test_contents_that_do_not_fit_leave_the_old_bundle(
    tmp_path: Path, make_contents: MakeContents, change: dict[str, Any], message: str
) -> None:
    old = write_bundle(tmp_path / "toy", make_contents())
    with pytest.raises(ValueError, match=message):
        write_bundle(tmp_path / "toy", make_contents(1, **change))
    assert Bundle.load(tmp_path / "toy").manifest == old.manifest
    assert only(tmp_path, "toy")


def test_more_than_sixteen_students_are_refused(tmp_path: Path, make_contents: MakeContents) -> None:
    many: dict[str, Any] = {
        "student_parts": [*range(3)] * 5 + [0, 1],
        "student_models": [b"x"] * 17,
        "parameters": [1] * 17,
        "multiply_adds": [1] * 17,
        "means": np.zeros((17, 3)),
    }
    with pytest.raises(ValueError, match="1 to 16 students"):
        write_bundle(tmp_path / "toy", make_contents(fill="zero", covariance=None, **many))


def test_a_bundle_replaces_a_bundle_even_a_damaged_one(tmp_path: Path, make_contents: MakeContents) -> None:
    old = write_bundle(tmp_path / "toy", make_contents())
    (old.path / "merge.npz").write_bytes(b"")
    new = write_bundle(tmp_path / "toy", make_contents(1))
    assert Bundle.load(tmp_path / "toy").manifest == new.manifest != old.manifest
    assert only(tmp_path, "toy")


def test_a_loaded_bundle_outlives_its_folder(tmp_path: Path, make_contents: MakeContents) -> None:
    contents = make_contents()
    bundle = write_bundle(tmp_path / "toy", contents)
    write_bundle(tmp_path / "toy", make_contents(1))
    assert bundle.student_bytes(2) == contents.student_models[2]


def test_a_link_to_a_bundle_stays_a_link(tmp_path: Path, make_contents: MakeContents) -> None:
    write_bundle(tmp_path / "real", make_contents())
    (tmp_path / "link").symlink_to("real")
    new = write_bundle(tmp_path / "link", make_contents(1))
    assert (tmp_path / "link").is_symlink()
    assert Bundle.load(tmp_path / "real").manifest == new.manifest == Bundle.load(tmp_path / "link").manifest


@pytest.mark.parametrize("kind", ["file", "empty", "photos", "foreign manifest", "bundle with notes", "pipe"])
def test_anything_else_at_the_path_is_refused(tmp_path: Path, make_contents: MakeContents, kind: str) -> None:
    target = tmp_path / "mine"
    if kind == "bundle with notes":
        write_bundle(target, make_contents())
        (target / "notes").write_text("mine")
    elif kind == "file":
        target.write_text("mine")
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.mkdir()
        name = {"photos": "cat.png", "foreign manifest": "manifest.json"}.get(kind)
        if name:
            (target / name).write_text('{"format": "app"}')
    before = sorted(target.rglob("*"))
    for act in (lambda: check_target(target), lambda: write_bundle(target, make_contents(1))):
        with pytest.raises(StorageError, match="mine"):
            act()
    assert sorted(target.rglob("*")) == before
    assert only(tmp_path, "mine")


@pytest.mark.parametrize("inside", ["sub", "students", "students/sub", "deeper/sub"])
def test_a_bundle_inside_another_is_refused(tmp_path: Path, make_contents: MakeContents, inside: str) -> None:
    around = write_bundle(tmp_path / "toy", make_contents()).path
    before = sorted(around.rglob("*"))
    for act in (check_target, lambda path: write_bundle(path, make_contents(1))):
        with pytest.raises(StorageError, match=f"inside the bundle {around}"):
            act(around / inside)
    assert sorted(around.rglob("*")) == before
    Bundle.load(around)


def test_a_manifest_of_something_else_further_up_is_no_hindrance(
    tmp_path: Path, make_contents: MakeContents
) -> None:
    (tmp_path / "manifest.json").write_text('{"format": "app"}')
    Bundle.load(write_bundle(tmp_path / "toy", make_contents()).path)


def test_a_parent_that_is_no_folder(tmp_path: Path, make_contents: MakeContents) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "toy", tmp_path / "file" / "deeper" / "toy"):
        with pytest.raises(StorageError, match="cannot write the bundle"):
            write_bundle(path, make_contents())
        with pytest.raises(StorageError, match="not a folder that you may write to"):
            check_target(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder(tmp_path: Path, make_contents: MakeContents) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(StorageError, match="cannot write the bundle"):
        write_bundle(tmp_path / "locked" / "toy", make_contents())
    with pytest.raises(StorageError, match="may write to"):
        check_target(tmp_path / "locked" / "toy")


def test_a_name_that_the_disk_refuses(tmp_path: Path, make_contents: MakeContents) -> None:
    with pytest.raises(StorageError, match="cannot write the bundle"):
        write_bundle(tmp_path / ("x" * 250), make_contents())  # its temporary sibling's name is too long
    assert only(tmp_path)


def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path, make_contents: MakeContents) -> None:
    """A limit on file size stands for the full disk: the write fails in the same call."""
    old = write_bundle(tmp_path / "toy", make_contents())
    code = """
import resource, signal, sys
from pathlib import Path
from bundle import Bundle, BundleContents, StorageError, write_bundle
bundle = Bundle.load(sys.argv[1])
m = bundle.manifest
contents = BundleContents(
    name="new", input=m.input, labels=m.labels, part_sizes=m.part_sizes, student_parts=m.student_parts,
    student_models=[bytes(1_000_000)] * 5, parameters=[1] * 5, multiply_adds=[1] * 5, bias=bundle.merger.bias,
    means=bundle.merger.means, fill="zero", accuracy=bundle.accuracy, validation_images=1,
    self_test=bundle.self_test)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_bundle(sys.argv[1], contents)
except StorageError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(old.path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "cannot write the bundle" in done.stdout
    assert Bundle.load(old.path).manifest == old.manifest
    assert only(tmp_path, "toy")


DIES_AT_RENAME = """
import os, sys
from pathlib import Path
from bundle.place import _locked, _put_in_place
path, new, survived = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
renames = 0
def die(event, arguments):
    global renames
    if event == "os.rename":
        renames += 1
        if renames > survived:
            os.kill(os.getpid(), 9)
sys.addaudithook(die)
with _locked(path.parent):
    _put_in_place(new, path)
"""


@pytest.mark.parametrize("survived", [0, 1, 2])
@pytest.mark.parametrize("cut_off_before", [False, True])
def test_death_at_any_rename_loses_nothing(
    tmp_path: Path, make_contents: MakeContents, survived: int, cut_off_before: bool
) -> None:
    """A real process is killed right before its rename number `survived` + 1."""
    path, new = tmp_path / "toy", tmp_path / "new"
    old_id = write_bundle(path, make_contents()).manifest.id
    new_id = write_bundle(new, make_contents(1)).manifest.id
    if cut_off_before:
        path.rename(tmp_path / ".toy.previous")
    command = [sys.executable, "-c", DIES_AT_RENAME, str(path), str(new), str(survived)]
    assert subprocess.run(command, timeout=60, check=False).returncode == -9

    assert Bundle.load(path).manifest.id == (new_id if path.exists() and not new.exists() else old_id)
    last = write_bundle(path, make_contents(2))
    assert Bundle.load(path).manifest.id == last.manifest.id
    assert not (tmp_path / ".toy.previous").exists()


def test_loading_while_it_is_replaced_again_and_again(tmp_path: Path, make_contents: MakeContents) -> None:
    path = tmp_path / "toy"
    choices = [make_contents(seed) for seed in (0, 1)]
    expected = {write_bundle(path, contents).manifest.id for contents in choices}
    enough = threading.Event()
    failures: list[BaseException] = []
    writes = 0

    def replace() -> None:
        nonlocal writes
        try:
            while not enough.is_set():
                write_bundle(path, choices[writes % 2])
                writes += 1
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        seen = {Bundle.load(path).manifest.id for _ in range(200)}
    finally:
        enough.set()
        writer.join(timeout=60)
    assert not failures
    assert not writer.is_alive()
    assert seen <= expected
    assert writes > 1


def test_two_writers_at_once_leave_one_whole_bundle(tmp_path: Path, make_contents: MakeContents) -> None:
    path = tmp_path / "toy"
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            for _ in range(20):
                write_bundle(path, make_contents(seed))
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert not failures
    assert Bundle.load(path).manifest.experiment["seed"] in (0, 1)
    assert only(tmp_path, "toy")
