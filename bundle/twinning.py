"""A bundle with int8 twins added, exchanged or removed; everything else in it stays, byte for byte."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundle.bundle import Bundle
from bundle.document import PLAIN_VERSION, VERSION, manifest_document, manifest_id
from bundle.errors import StorageError
from bundle.folder import read_files
from bundle.manifest import TWINS, FileEntry, digest, twin_name
from bundle.place import publish
from bundle.twins import Twins, pack_twins

PROVENANCE = "int8"


@dataclass(frozen=True, slots=True, eq=False)
class TwinContents:
    """Of each student that has a twin: models, its ONNX file; tolerances, by how much its answers to the
    self-test may be off; partials, what these are, float32 [n, K].

    accuracy [2**S]: as in `Twins`. origin: JSON values, how the twins were made; goes into `experiment`.
    """

    models: Mapping[int, bytes]
    tolerances: Mapping[int, float]
    partials: Mapping[int, NDArray[np.float32]]
    accuracy: ArrayLike
    origin: Mapping[str, Any] = field(default_factory=dict)


def write_twins(bundle: Bundle, contents: TwinContents | None, path: Path | str | None = None) -> Bundle:
    """The bundle with these twins and no others, or none at all, written to `path`, or in its own place
    unless it is there already.

    Raises ValueError where the contents do not fit the bundle, BundleError and StorageError where it cannot
    be read again or written, or has been replaced meanwhile.
    """
    target = bundle.path if path is None else Path(path).resolve()
    document, files = _plain(bundle)
    if contents is not None:
        _add(document, files, contents)
    document["id"] = manifest_id(document)
    if target == bundle.path and document["id"] == bundle.manifest.id:
        return bundle
    return publish(target, document, files, bundle.manifest.id if target == bundle.path else None)


def _plain(bundle: Bundle) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The document and the files by their names, without any twin."""
    data, by_digest = read_files(bundle.path)
    document = dict(manifest_document(data))
    if document["id"] != bundle.manifest.id:
        raise StorageError(f"another bundle was written to {bundle.path} meanwhile: run the command again")
    left_out = {TWINS, *map(twin_name, bundle.manifest.twins)}
    files = {name: entry for name, entry in bundle.manifest.files.items() if name not in left_out}
    document["version"] = PLAIN_VERSION
    document["students"] = [_without(entry, "int8") for entry in document["students"]]
    document["experiment"] = _without(document["experiment"], PROVENANCE)
    document["files"] = {name: _entry(entry) for name, entry in files.items()}
    return document, {name: by_digest[entry.sha256] for name, entry in files.items()}


def _add(document: dict[str, Any], files: dict[str, bytes], contents: TwinContents) -> None:
    students = document["students"]
    for student in sorted(contents.models):
        if not 0 <= student < len(students):
            raise ValueError(f"a twin of student {student}: there are {len(students)}")
        twin = {"file": twin_name(student), "tolerance": float(contents.tolerances[student])}
        students[student]["int8"] = twin
        files[twin_name(student)] = contents.models[student]
    twins = Twins(np.asarray(contents.accuracy, np.float32), contents.partials)
    files[TWINS] = pack_twins(twins)
    document["version"] = VERSION
    document["experiment"][PROVENANCE] = json.loads(json.dumps(dict(contents.origin), allow_nan=False))
    for name, data in files.items():
        document["files"][name] = _entry(FileEntry(digest(data), len(data)))


def _entry(file: FileEntry) -> dict[str, Any]:
    return {"sha256": file.sha256, "bytes": file.bytes}


def _without(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}
