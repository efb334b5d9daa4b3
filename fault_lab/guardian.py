"""Outlives its starter only to kill what that has left: `python -m fault_lab.guardian [FOLDER]`.

A tether (fault_lab/tether.py) ends a process with its starter, but not while the process is stopped by
SIGSTOP: then none of its threads runs. SIGKILL from another process ends it all the same.
"""

import contextlib
import os
import select
import selectors
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

_STANDARD_INPUT: Final = 0
_DEATH_SECONDS: Final = 1.0  # of a process that was sent SIGKILL
_DISMISSAL_SECONDS: Final = 10.0


class Guardian:
    """Kills the processes that it has been told of when `dismiss` is called, or however this process ends.

    folder: is removed then, too.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fault_lab.guardian", *([str(folder)] if folder else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # so that Ctrl-C does not reach it
        )

    def watch(self, pid: int) -> None:
        """A child of this process that has not been waited for, so that nobody else can have its number."""
        if self._process.stdin is not None:
            self._process.stdin.write(b"%d\n" % pid)

    def dismiss(self) -> None:
        """Returns when its work is done; safe to call again."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(_DISMISSAL_SECONDS)


def main() -> None:
    handles = _wait_for_the_end()
    for handle in handles:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    for handle in handles:
        select.select([handle], [], [], _DEATH_SECONDS)  # until it is gone, and writes no more
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_the_end() -> set[int]:
    """Of standard input. Returns a descriptor of each process that has not ended before: unlike a number, it
    is never another process's.
    """
    handles: set[int] = set()
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(_STANDARD_INPUT, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd != _STANDARD_INPUT:
                    selector.unregister(key.fd)
                    handles.remove(key.fd)
                    os.close(key.fd)
                    continue
                if not (data := os.read(_STANDARD_INPUT, 4096)):
                    return handles
                *pids, line = (line + data).split(b"\n")
                for handle in map(_open, pids):
                    if handle is not None:
                        handles.add(handle)
                        selector.register(handle, selectors.EVENT_READ)


def _open(pid: bytes) -> int | None:
    try:
        return os.pidfd_open(int(pid))
    except ProcessLookupError:
        return None


if __name__ == "__main__":
    main()
