"""A cluster of processes that speak TLS: the test starts each with the certificate that it likes."""

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bundle import Bundle
from fault_lab.processes import NodeProcess
from nonn import Client
from nonn.cluster_status import ClusterStatus
from nonn.errors import NonnError
from tests.authority import Certificates

WAIT = 60.0  # seconds until what has to happen is called broken


class SecuredCluster:
    """Use as a context: processes are ended on leaving."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.folder = folder
        self.certificates = Certificates(folder / "certs")
        self.devices: list[NodeProcess] = []
        self._stack = contextlib.ExitStack()
        command = ["aggregator", "--bundle", str(bundle.path), "--listen", "127.0.0.1:0"]
        command += ["--heal-after", "1", "--tls", str(self.certificates.aggregator())]
        self.aggregator = self._start("aggregator", *command)
        self.address = self.aggregator.wait_for_line("listening on ", WAIT)
        self.client = Client(self.address, tls=self.certificates.client("laptop"))
        self._stack.callback(self.client.close)

    def __enter__(self) -> "SecuredCluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def device(self, tls: Path, *options: str, name: str = "") -> NodeProcess:
        """A device process with this folder of certificates. name: of its log and its state folder."""
        name = name or tls.name
        state = str(self.folder / "states" / name)
        where = ["device", "--aggregator", self.address, "--state", state]
        self.devices.append(self._start(name, *where, "--tls", str(tls), *options))
        return self.devices[-1]

    def wait_until(self, reached: Callable[[ClusterStatus], bool]) -> ClusterStatus:
        deadline = time.monotonic() + WAIT
        latest = None
        while time.monotonic() < deadline:
            with contextlib.suppress(NonnError):
                latest = self.client.status(WAIT)
                if reached(latest):
                    return latest
            self.aggregator.check_alive()
            time.sleep(0.05)
        raise AssertionError(f"not reached; the latest status: {latest}")

    def _start(self, name: str, *arguments: str) -> NodeProcess:
        process = NodeProcess(name, ["nonn", *arguments], self.folder / f"{name}.log", {})
        self._stack.callback(end, process)
        return process


def end(process: NodeProcess) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        if process.returncode is None:
            process.kill()


def wait_for_words(process: NodeProcess, words: str) -> str:
    """The line of its log in which they stand."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        for line in process.output().splitlines():
            if words in line:
                return line
        time.sleep(0.05)
    raise AssertionError(f"{words!r} is not in the log of {process.name}: {process.output()}")


def serving(*ids: str) -> Callable[[ClusterStatus], bool]:
    """Exactly these devices are there and serve, and every student is served."""
    return lambda status: (
        sorted((device.device_id, device.state) for device in status.devices)
        == sorted((name, "serving") for name in ids)
        and all(student.device_ids for student in status.students)
    )
