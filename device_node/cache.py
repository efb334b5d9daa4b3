"""Students on disk by digest, so that a device that comes back need not fetch them again."""

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bundle.errors import StorageError
from device_node.state import write_atomically

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether this is a sha256 in hexadecimal. Nothing else that a peer sends may become part of a path."""
    return _DIGEST.fullmatch(text) is not None


class StudentCache:
    """`folder/<sha256>.onnx`, used by one process; beyond `limit` bytes the least recently used go."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Raises StorageError when the folder cannot be made."""
        self._folder = folder
        self._limit = limit
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(".*.tmp"):  # of a write that the power cut
                leftover.unlink()
        except OSError as error:
            raise StorageError(
                f"cannot use the folder {folder}: {error.strerror}; name another --state"
            ) from error

    def digests(self, most: int = 1000) -> tuple[str, ...]:
        """Of the files that are there, the last used first; their content is checked when they are read."""
        with contextlib.suppress(OSError):
            newest = sorted(self._files(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            return tuple(path.stem for path in newest[:most])
        return ()

    def read(self, digest: str) -> bytes | None:
        """The student's bytes, or None when it is not there or damaged; a damaged file is removed."""
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == digest:
            return data
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def write(self, digest: str, data: bytes) -> None:
        """Keep bytes whose digest has been verified. Raises StorageError when the disk does not take them."""
        self._make_room(len(data))
        try:
            write_atomically(self._path(digest), data)
        except StorageError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._make_room(self._limit)  # students that were of use once for the one that is of use now
            write_atomically(self._path(digest), data)

    def touch(self, digests: Iterable[str]) -> None:
        """These are in use: the others go first."""
        for digest in filter(is_digest, digests):
            with contextlib.suppress(OSError):
                os.utime(self._path(digest))

    def _path(self, digest: str) -> Path:
        if not is_digest(digest):
            raise ValueError(f"{digest!r} is no sha256")
        return self._folder / f"{digest}.onnx"

    def _files(self) -> list[Path]:
        return [path for path in self._folder.glob("*.onnx") if is_digest(path.stem)]

    def _make_room(self, wanted: int) -> None:
        """For so many bytes within the limit, or for all that there can be."""
        with contextlib.suppress(OSError):
            sized = [(path.stat(), path) for path in self._files()]
            excess = sum(stat.st_size for stat, _ in sized) + wanted - self._limit
            for stat, path in sorted(sized, key=lambda pair: pair[0].st_mtime_ns):
                if excess <= 0:
                    return
                path.unlink()
                excess -= stat.st_size
