"""One `nonn` process of a local cluster: started, watched, hurt and ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from bundle.errors import NonnError


class ProcessEnded(NonnError):
    """A process of the cluster ended when it was needed; the line says how and what it said last."""

    exit_code: ClassVar[int] = 1


class NodeProcess:
    """`python -m COMMAND` as a process of its own, tethered to this one; what it prints goes to `log`."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._offset = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fault_lab.tether", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it lives."""
        return self._process.poll()

    def output(self) -> str:
        """What it has printed so far (an earlier process of the same log excluded)."""
        with self.log.open("rb") as stream:
            stream.seek(self._offset)
            return stream.read().decode(errors="replace")

    def check_alive(self) -> None:
        """Raise ProcessEnded when it is not running any more."""
        if (code := self.returncode) is not None:
            last = (self.output().strip().splitlines() or ["it said nothing"])[-1]
            raise ProcessEnded(f"{self.name} ended with exit code {code}: {last} (its log: {self.log})")

    def wait_for_line(self, prefix: str, seconds: float) -> str:
        """The rest of the first printed line that starts with `prefix`; TimeoutError, ProcessEnded."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.output().splitlines(keepends=True):
                if line.startswith(prefix) and line.endswith("\n"):
                    return line[len(prefix) :].strip()
            self.check_alive()
            time.sleep(0.02)
        raise TimeoutError(f"{self.name} did not print {prefix!r} within {seconds:g} s (its log: {self.log})")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._close()

    def wait(self, seconds: float) -> int:
        """Its exit code; subprocess.TimeoutExpired when it is still there after `seconds`."""
        code = self._process.wait(seconds)
        self._close()
        return code

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
