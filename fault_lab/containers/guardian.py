"""Removes a compose project once its owner is gone, however it went: SIGKILL and Ctrl-C included.

A process of its own, in its own session, whose standard input is a pipe that the owner holds. The owner says
`done` when it has nothing under way any more; a pipe that merely ends means that it was killed, and a
`docker compose up` of its may still be at work.
"""

import subprocess
import sys
import time
from typing import Final

from fault_lab.containers import engine

DONE: Final = b"done\n"
QUIET_SECONDS: Final = 4.0  # in which nothing new comes up: then nothing is at work any more
LONGEST: Final = 180.0


class ProjectGuardian:
    """Nothing of the compose project is left when `dismiss` returns, nor soon after this process's end."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fault_lab.containers.guardian", project],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C does not reach it
        )

    def dismiss(self, *, orderly: bool) -> None:
        """orderly: no docker command of ours can be at work. Safe to call again.

        Raises ContainersUnavailable when something cannot be removed.
        """
        try:
            if self._process.poll() is None:
                self._process.communicate(DONE if orderly else b"", timeout=LONGEST)
        except (OSError, subprocess.TimeoutExpired):  # it was killed, or the engine hangs
            self._process.kill()
            self._process.wait()
        if self._process.returncode != 0:
            engine.remove(self._project)


def main() -> int:
    """Returns 0 when nothing is left."""
    project = sys.argv[1]
    orderly = sys.stdin.buffer.read() == DONE
    start = quiet = time.monotonic()
    while time.monotonic() - start < LONGEST:
        if not _is_clean(project):
            quiet = time.monotonic()
        elif orderly or time.monotonic() - quiet > QUIET_SECONDS:
            return 0
        else:
            time.sleep(0.2)
    return 1


def _is_clean(project: str) -> bool:
    """Whether nothing had to be removed."""
    try:
        found = bool(engine.remains(project))
        if found:
            engine.remove(project)
    except engine.ContainersUnavailable:  # such as for a container that is only just being made
        time.sleep(0.5)
        return False
    return not found


if __name__ == "__main__":
    sys.exit(main())
