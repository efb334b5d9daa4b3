"""A file that others replace while we run."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Watched:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None

    def changed(self) -> bool:
        """Since the last call, as far as its status tells. A file that is gone has changed once."""
        try:
            found = self.path.stat()
            now: tuple[int, ...] = (found.st_mtime_ns, found.st_ino, found.st_size)
        except OSError:
            now = ()
        changed, self._seen = now != self._seen, now
        return changed

    def again(self) -> None:
        """Take it for changed at the next call too: what belongs to it may not have been there yet."""
        self._seen = None

    def read(self, parse: Callable[[bytes], T], largest: int) -> T:
        """ValueError, in one line with the path, when the file cannot be read or `parse` raises one."""
        try:
            with self.path.open("rb") as file:
                data = file.read(largest + 1)
        except OSError as error:
            raise ValueError(f"cannot read {self.path}: {(error.strerror or str(error)).lower()}") from None
        if len(data) > largest:
            raise ValueError(f"{self.path}: larger than {largest} bytes")
        try:
            return parse(data)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None
