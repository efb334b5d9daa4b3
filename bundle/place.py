"""A bundle's files -> its folder, in place of the old one only when they are complete.

A folder cannot be exchanged for another in one portable step, so replacing takes two renames: the old bundle
is set aside under a name that `Bundle.load` knows, then the new one takes its place. A crash between the two
leaves both whole; until the next write puts the old one back, loading reads it where it is.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bundle.bundle import Bundle, assemble, read_bundle
from bundle.document import parse_manifest
from bundle.errors import BundleError, StorageError
from bundle.folder import foreign_names, read_document, set_aside
from bundle.manifest import MANIFEST


def publish(
    path: Path, document: Mapping[str, Any], files: Mapping[str, bytes], replaces: str | None = None
) -> Bundle:
    """Writes manifest.json and the files that it names, and reads them back. path: absolute.

    replaces: the id of the bundle that must be at `path` still. Raises ValueError where files and document do
    not fit together, StorageError when they cannot be written or something else is at `path`.
    """
    assemble(path, parse_manifest(document), files)
    _check_outside_bundles(path)
    manifest = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    new = path.with_name(f".{path.name}.new-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_files(new, {**files, MANIFEST: manifest})
        bundle = read_bundle(new, path)
        with _locked(path.parent):
            check_target(path)
            _check_unchanged(path, replaces)
            _put_in_place(new, path)
    except OSError as error:
        raise StorageError(f"cannot write the bundle {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return bundle


def check_target(path: Path | str) -> None:
    """Raises StorageError unless a bundle can be written there: worth knowing before hours of training."""
    path = Path(path).resolve()
    _check_outside_bundles(path)
    if os.path.lexists(path):
        try:
            read_document(path)
            foreign = foreign_names(path)
        except BundleError as error:
            raise StorageError(
                f"{path} exists and is not a bundle: remove it or name another folder"
            ) from error
        if foreign:
            name = min(foreign)
            raise StorageError(f"{path} holds {name!r}, which is no part of a bundle: move it away first")
    folder = next(parent for parent in path.parents if os.path.lexists(parent))
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write the bundle {path}: {folder} is not a folder that you may write to")


def _check_outside_bundles(path: Path) -> None:
    """A bundle with a file or folder more is one that is refused."""
    around = next(filter(_is_bundle, path.parents), None)
    if around is not None:
        raise StorageError(
            f"{path} lies inside the bundle {around}, which it would spoil: name another folder"
        )


def _is_bundle(folder: Path) -> bool:
    try:
        read_document(folder)
    except (BundleError, StorageError):
        return False
    return True


def _check_unchanged(path: Path, replaces: str | None) -> None:
    if replaces is not None and path.exists() and read_document(path).get("id") != replaces:
        raise StorageError(f"another bundle was written to {path} meanwhile: run the command again")


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    (folder / "students").mkdir(parents=True)
    for name, data in files.items():
        with (folder / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    _sync(folder / "students")
    _sync(folder)


def _put_in_place(new: Path, path: Path) -> None:
    """At every moment either `path` or, once it is set aside, the old bundle is whole."""
    old = set_aside(path)
    if os.path.lexists(old):  # an earlier write was cut off
        if path.exists():
            _discard(old)
        else:
            old.rename(path)
    if path.exists():
        path.rename(old)
        _sync(path.parent)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    _sync(path.parent)
    _discard(old)


def _discard(old: Path) -> None:
    """Under another name first: what is called set aside must never be half deleted."""
    if os.path.lexists(old):
        waste = old.with_name(f"{old.name}-{secrets.token_hex(4)}")
        old.rename(waste)
        shutil.rmtree(waste, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other writers out for the few renames, where the file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
