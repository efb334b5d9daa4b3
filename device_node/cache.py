"""Students on disk by digest, so that a device that comes back need not fetch them again."""

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Final

from bundle.errors import StorageError
from device_node.state import write_atomically

CACHE_BYTES: Final = 512 * 1024 * 1024
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether this is a sha256 in hexadecimal. Nothing else that a peer sends may become part of a path."""
    return _DIGEST.fullmatch(text) is not None


class StudentCache:
    """`folder/<sha256>.onnx`, used by one process; beyond `limit` bytes the least recently used go."""

    def __init__(self, folder: Path, limit: int = CACHE_BYTES) -> None:
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
        intact = hashlib.sha256(data).hexdigest() == digest
        with contextlib.suppress(OSError):
            if intact:
                os.utime(path)  # the time of the last use decides who goes first
            else:
                path.unlink()
        return data if intact else None

    def write(self, digest: str, data: bytes) -> None:
        """Keep bytes whose digest has been verified. Raises StorageError when the disk does not take them."""
        write_atomically(self._path(digest), data)
        self._drop_oldest(keep=digest)

    def _path(self, digest: str) -> Path:
        if not is_digest(digest):
            raise ValueError(f"{digest!r} is no sha256")
        return self._folder / f"{digest}.onnx"

    def _files(self) -> list[Path]:
        return [path for path in self._folder.glob("*.onnx") if is_digest(path.stem)]

    def _drop_oldest(self, keep: str) -> None:
        with contextlib.suppress(OSError):
            sized = [(path.stat(), path) for path in self._files()]
            excess = sum(stat.st_size for stat, _ in sized) - self._limit
            for stat, path in sorted(sized, key=lambda pair: pair[0].st_mtime_ns):
                if excess <= 0:
                    return
                if path.stem != keep:
                    path.unlink()
                    excess -= stat.st_size
