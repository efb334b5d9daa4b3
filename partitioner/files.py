"""Files that are either complete or not there."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from partitioner.errors import PartitionFileError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary sibling of `path`, then rename it: readers see the old or the new one.

    Raises PartitionFileError when the folder cannot be written; `path` is then as it was.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            write(file.file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PartitionFileError(
            f"cannot write {path}: {reason}; choose a folder that can be written"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    # Temporary files are private, results are not. The mask can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
