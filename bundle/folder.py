"""A bundle's folder -> its manifest and the bytes of its files, none used before all are verified."""

import errno
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from bundle.document import manifest_document, read_manifest_json
from bundle.errors import BundleError, NonnError, StorageError
from bundle.manifest import MANIFEST, MERGE, SELF_TEST, TWINS, Manifest, digest

T = TypeVar("T")

LARGEST_MANIFEST: Final = 16 << 20
# Each further attempt needs a replacement that fell into the one before.
ATTEMPTS: Final = 100
STUDENTS: Final = "students"


def settled(path: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of the bundle's folder, safe while `write_bundle` replaces it.

    After a crash in the middle of that, the bundle that it set aside is read.
    """
    for attempt in range(1, ATTEMPTS + 1):
        state = _identity(path), _identity(set_aside(path))
        folder = path if state[0] or not state[1] else set_aside(path)
        try:
            return read(folder)
        except NonnError:
            unchanged = state == (_identity(path), _identity(set_aside(path)))
            if unchanged or attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def set_aside(path: Path) -> Path:
    """Where the old bundle is while a new one takes its place."""
    return path.with_name(f".{path.name}.previous")


def read_folder(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Raises BundleError, naming the file, unless every file, and no other, is there, whole and unchanged.

    Raises StorageError for files that are there and cannot be read.
    """
    manifest = read_manifest(folder)
    _check_names(folder, {MANIFEST, *manifest.files})
    files = {}
    for name, entry in manifest.files.items():
        data = _read_file(folder, name, entry.bytes)
        if len(data) != entry.bytes:
            _refuse(folder, name, f"truncated: {len(data)} bytes long, not {entry.bytes}")
        if digest(data) != entry.sha256:
            _refuse(folder, name, "its content is not what the manifest says (sha256 differs)")
        files[name] = data
    return manifest, files


def read_files(path: Path | str) -> tuple[bytes, dict[str, bytes]]:
    """manifest.json as it is on disk, and the other files by their sha256; errors as in `read_folder`."""
    return settled(Path(path).resolve(), _read_files)


def _read_files(folder: Path) -> tuple[bytes, dict[str, bytes]]:
    manifest, files = read_folder(folder)
    return _read_manifest_bytes(folder), {manifest.files[name].sha256: data for name, data in files.items()}


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks manifest.json alone; errors as in `read_folder`."""
    data = _read_manifest_bytes(folder)
    try:
        return read_manifest_json(data)
    except ValueError as error:
        _refuse(folder, MANIFEST, str(error))


def read_document(folder: Path) -> Mapping[str, Any]:
    """The JSON of a manifest that says it is one of ours, of any version; errors as in `read_folder`."""
    data = _read_manifest_bytes(folder)
    try:
        return manifest_document(data)
    except ValueError as error:
        _refuse(folder, MANIFEST, str(error))


def _read_manifest_bytes(folder: Path) -> bytes:
    _check_folder(folder)
    return _read_file(folder, MANIFEST, LARGEST_MANIFEST)


def _check_folder(folder: Path) -> None:
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise BundleError(f"no bundle at {folder}: not a folder")
        (folder / MANIFEST).lstat()
    except (FileNotFoundError, NotADirectoryError):
        problem = f"{MANIFEST} is missing" if folder.exists() else "no such folder"
        raise BundleError(f"no bundle at {folder}: {problem}") from None
    except OSError as error:
        raise StorageError(f"cannot read {folder}: {error.strerror}") from error


def foreign_names(folder: Path) -> set[str]:
    """What lies in the folder and in its students folder besides what some bundle could hold."""
    return {
        name
        for name in _names(folder)
        if name not in (MANIFEST, MERGE, SELF_TEST, TWINS)
        and not (name.startswith(f"{STUDENTS}/student-") and name.endswith(".onnx"))
    }


def _check_names(folder: Path, expected: set[str]) -> None:
    found = _names(folder)
    for name in sorted(expected - found):
        _refuse(folder, name, "missing")
    for name in sorted(found - expected):
        _refuse(folder, name, "it does not belong to the bundle: remove it")


def _names(folder: Path) -> set[str]:
    try:
        names = set(os.listdir(folder))  # noqa: PTH208 - the names are all that is wanted
        if STUDENTS in names and stat.S_ISDIR((folder / STUDENTS).lstat().st_mode):
            names.remove(STUDENTS)
            names |= {f"{STUDENTS}/{name}" for name in os.listdir(folder / STUDENTS)}  # noqa: PTH208
    except FileNotFoundError as error:
        raise BundleError(f"no bundle at {folder}: it vanished while it was read") from error
    except OSError as error:
        raise StorageError(f"cannot read {folder}: {error.strerror}") from error
    return names


def _read_file(folder: Path, name: str, most: int) -> bytes:
    try:
        # Neither a link out of the folder is followed nor a pipe waited for.
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                _refuse(folder, name, "not a regular file")
            if status.st_size > most:
                _refuse(folder, name, f"{status.st_size} bytes long, not {most}")
            return file.read(most)
    except (FileNotFoundError, NotADirectoryError):
        _refuse(folder, name, "missing")
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            _refuse(folder, name, "not a regular file")
        raise StorageError(f"cannot read {folder / name}: {error.strerror}") from error


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Changes when another folder takes the path: inode numbers are reused, but a rename sets ctime."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _refuse(folder: Path, name: str, problem: str) -> NoReturn:
    # Only the latest error matters to a user: names are ours or quoted, so that it stays one line.
    raise BundleError(f"bundle {folder}: {name if name.isprintable() else repr(name)}: {problem}") from None
