"""Whatever is wrong with a bundle on disk, loading says so in one line that names the file."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import Bundle, BundleContents, BundleError, InputError, InputSpec, StorageError, write_bundle
from bundle.document import manifest_id
from bundle.manifest import digest

MakeContents = Callable[..., BundleContents]


@pytest.fixture
def folder(tmp_path: Path, make_contents: MakeContents) -> Path:
    return write_bundle(tmp_path / "toy", make_contents()).path


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def edit(folder: Path, change: Callable[[dict[str, Any]], object], *, sign: bool = True) -> None:
    """Changes the manifest; with `sign`, as one who also computes the new id would."""
    file = folder / "manifest.json"
    document = json.loads(file.read_text())
    change(document)
    if sign:
        document["id"] = manifest_id(document)
    file.write_text(json.dumps(document))


def substitute(folder: Path, name: str, data: bytes) -> None:
    """Another content for a file, with a manifest that vouches for it."""
    (folder / name).write_bytes(data)
    entry = {"sha256": digest(data), "bytes": len(data)}
    edit(folder, lambda document: document["files"].update({name: entry}))


ALL_FILES = ["manifest.json", "merge.npz", "self_test.npz", *(f"students/student-{i}.onnx" for i in range(5))]


@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
def test_a_truncated_or_missing_file(folder: Path, name: str, keep: float) -> None:
    file = folder / name
    if keep == 1.0:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * keep)])
    assert name in refusal(folder)


@pytest.mark.parametrize("name", ALL_FILES[1:])
def test_any_changed_byte(folder: Path, name: str) -> None:
    file = folder / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert f"{name}: its content is not what the manifest says" in refusal(folder)
    file.write_bytes(bytes(data) + b"more")
    assert name in refusal(folder)


def test_any_changed_value_of_the_manifest(folder: Path) -> None:
    good = (folder / "manifest.json").read_text()
    for key, value in json.loads(good).items():
        if key in ("format", "version"):
            continue
        edit(folder, lambda document, key=key, value=value: document.update({key: [value]}), sign=False)
        assert "manifest.json: it was changed" in refusal(folder)
        edit(folder, lambda document, key=key: document.pop(key), sign=False)
        assert "manifest.json: it was changed" in refusal(folder)
        (folder / "manifest.json").write_text(good)
    Bundle.load(folder)


@pytest.mark.parametrize(
    ("version", "message"),
    [(3, "newer NoNN .bundle version 3"), (0, "no bundle version"), (True, "no bundle"), ("1", "no bundle")],
)
def test_other_versions(folder: Path, version: object, message: str) -> None:
    edit(folder, lambda document: document.update(version=version, unknown_to_us={"files": []}))
    with pytest.raises(BundleError, match=message):
        Bundle.load(folder)


@pytest.mark.parametrize("outside", ["../secret", "/etc/passwd", "students/../../secret", "students/x.onnx"])
def test_file_names_cannot_lead_elsewhere(folder: Path, outside: str) -> None:
    secret = folder.parent / "secret"
    secret.write_bytes(b"secret")
    entry = {"sha256": digest(b"secret"), "bytes": 6}

    def rename_student(document: dict[str, Any]) -> None:
        document["students"][0]["file"] = outside

    good = (folder / "manifest.json").read_text()
    edit(folder, lambda document: document["files"].update({outside: entry}))
    assert outside in refusal(folder)
    (folder / "manifest.json").write_text(good)
    edit(folder, rename_student)
    assert "student 0 must have" in refusal(folder)


CHANGES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda d: d.update(format="zip"), "format"),
    (lambda d: d.update(fill="guess"), "'fill'"),
    (lambda d: d.update(fill=["zero"]), "'fill'"),
    (lambda d: d.update(labels=[]), "'labels'"),
    (lambda d: d.update(labels=["a", "\x1b[2J", "c"]), "'labels'"),
    (lambda d: d.update(name="../outside"), "'name'"),
    (lambda d: d.update(name="/tmp/outside"), "'name'"),
    (lambda d: d.update(labels=["a", 1, "c"]), "'labels'"),
    (lambda d: d.update(labels=["a", "b"]), "'bias'"),
    (lambda d: d.update(part_sizes=[4, 4]), "parts needs a student"),
    (lambda d: d.update(part_sizes=[4, 4, 0]), "'part_sizes'"),
    (lambda d: d.update(students=[]), "1 to 16 students"),
    (lambda d: d.update(students=d["students"] * 4), "1 to 16 students"),
    (lambda d: d["students"].pop(), "unexpected 'students/student-4.onnx'"),
    (lambda d: d["students"].reverse(), "student 0 must"),
    (lambda d: d["students"][0].update(part=-1), "'part'"),
    (lambda d: d["students"][0].update(part=True), "'part'"),
    (lambda d: d.update(students=[None] * 5), "student 0"),
    (lambda d: d["files"].pop("merge.npz"), "lacks 'merge.npz'"),
    (lambda d: d["files"].update({"merge.npz": 3}), "'merge.npz'"),
    (lambda d: d["files"]["merge.npz"].update(sha256="0" * 63 + "G"), "digest"),
    (lambda d: d["files"]["merge.npz"].update(bytes=-1), "'bytes'"),
    (lambda d: d.update(teacher_accuracy=1.5), "'teacher_accuracy'"),
    (lambda d: d.update(validation_images=0), "'validation_images'"),
    (lambda d: d["input"].update(height=0), "'height'"),
    (lambda d: d["input"].update(height=5), "self_test.npz: 'images'"),
    (lambda d: d.pop("experiment"), "'experiment'"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_a_manifest_that_vouches_for_nonsense(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(folder, change)
    assert message in refusal(folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "\xff", '{"format": "nonn-bundle"}', "[" * 100_000, '{"format": 1e999}']
)
def test_a_manifest_that_is_none(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    assert "manifest.json" in refusal(folder)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_manifest_with_numbers_that_are_none(folder: Path, number: str) -> None:
    file = folder / "manifest.json"
    file.write_text(file.read_text().replace("0.75", number))
    assert "manifest.json" in refusal(folder)


@pytest.mark.parametrize("name", ["notes.txt", "students/notes.txt", "students/student-5.onnx", ".hidden"])
def test_an_extra_file(folder: Path, name: str) -> None:
    (folder / name).write_text("mine")
    assert f"{name}: it does not belong" in refusal(folder)


def test_an_extra_folder(folder: Path) -> None:
    (folder / "more").mkdir()
    assert "more: it does not belong" in refusal(folder)


def test_a_link_is_not_followed(folder: Path) -> None:
    student = folder / "students/student-0.onnx"
    student.rename(folder.parent / "elsewhere")
    student.symlink_to(folder.parent / "elsewhere")
    assert "student-0.onnx: not a regular file" in refusal(folder)


def test_a_linked_students_folder_is_not_followed(folder: Path) -> None:
    (folder / "students").rename(folder.parent / "elsewhere")
    (folder / "students").symlink_to(folder.parent / "elsewhere")
    assert "students" in refusal(folder)


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    (folder / "merge.npz").unlink()
    os.mkfifo(folder / "merge.npz")
    assert "merge.npz: not a regular file" in refusal(folder)


def test_what_is_no_bundle(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "manifest.json is missing" in refusal(tmp_path)
    (tmp_path / "file").write_text("")
    assert "not a folder" in refusal(tmp_path / "file")
    assert "no such folder" in refusal(tmp_path / "file" / "below")


def test_a_name_too_long_to_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        Bundle.load(tmp_path / ("x" * 300))


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def member(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["merge.npz", "self_test.npz"])
def test_no_pickle_is_ever_loaded(folder: Path, tmp_path: Path, name: str) -> None:
    trap = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(trap)))  # the trap works
    trap.unlink()
    objects = io.BytesIO()
    np.save(objects, np.array([Trap(trap)], dtype=object), allow_pickle=True)
    for data in (
        member("bias.npy", objects.getvalue()),
        member("bias", pickle.dumps(Trap(trap))),
        member("bias.npy", pickle.dumps(Trap(trap))),
        pickle.dumps(Trap(trap)),
    ):
        substitute(folder, name, data)
        assert name in refusal(folder)
    assert not trap.exists()


def npy(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 12


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", member("bias.npy", b""), member("bias.npy", npy("(1000000000000000,)"))]
    + [member("bias.npy", npy(shape)) for shape in ("(4,)", "(-3,)", "(3, 'x')", "(3,")],
)
def test_an_unsound_archive_that_the_manifest_vouches_for(folder: Path, data: bytes) -> None:
    substitute(folder, "merge.npz", data)
    assert "merge.npz" in refusal(folder)


def test_an_archive_that_would_fill_the_memory(folder: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, bias=np.zeros(1 << 20))
    assert len(buffer.getvalue()) < 1 << 16
    substitute(folder, "merge.npz", buffer.getvalue())
    assert "it unpacks to" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("merge.npz", {"bias": np.zeros(3)}, "'bias' must be float32 [3], not float64 [3]"),
        ("merge.npz", {"bias": np.full(3, np.nan, np.float32)}, "bias has values that are not finite"),
        ("merge.npz", {"means": np.zeros((4, 3), np.float32)}, "'means' must be"),
        ("merge.npz", {"covariance": np.zeros(119, np.float32)}, "'covariance' must be float32 [120]"),
        ("merge.npz", {"covariance": None}, "needs the covariance"),
        ("merge.npz", {"accuracy": np.zeros(32, np.float32)}, "'accuracy' must be from 0 to 1"),
        ("merge.npz", {"accuracy": None}, "'accuracy' is missing"),
        ("merge.npz", {"more": np.zeros(1)}, "'more' does not belong"),
        ("self_test.npz", {"images": np.zeros((2, 4, 5, 1), np.float32)}, "'images' must be uint8"),
        ("self_test.npz", {"partials": np.full((5, 2, 3), np.inf, np.float32)}, "finite"),
        ("self_test.npz", {"partials": np.zeros((5, 1, 3), np.float32)}, "'partials' must be"),
    ],
)
def test_arrays_that_do_not_fit(
    folder: Path, name: str, change: dict[str, np.ndarray | None], message: str
) -> None:
    with np.load(folder / name) as archive:
        arrays = {**archive, **change}
    buffer = io.BytesIO()
    np.savez(buffer, **{key: array for key, array in arrays.items() if array is not None})
    substitute(folder, name, buffer.getvalue())
    assert f"{name}: " in refusal(folder)
    assert message in refusal(folder)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 4, 5, 1), np.float32),
        np.zeros((4, 5, 1), np.uint8),
        np.zeros((1, 5, 4, 1), np.uint8),
        np.zeros((0, 4, 5, 1), np.uint8),
    ],
)
def test_images_of_another_kind(images: np.ndarray) -> None:
    InputSpec(4, 5, 1).check(np.zeros((7, 4, 5, 1), np.uint8))
    with pytest.raises(InputError) as caught:
        InputSpec(4, 5, 1).check(images)
    assert "uint8 [N, 4, 5, 1]" in str(caught.value)
    assert f"{images.dtype} {list(images.shape)}" in str(caught.value)
    assert caught.value.exit_code == 4
