"""A real cluster on this machine: one aggregator and some device processes that talk gRPC over loopback."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import grpc

from device_node import machine
from fault_lab.guardian import Guardian
from fault_lab.processes import NodeProcess
from protos import nonn_pb2, nonn_pb2_grpc

Status = nonn_pb2.StatusResponse


# What devices are held to is the offline merge of fp32 students; int8 would be near it.
FP32: Final = ("--precision", "fp32")


def _nonn_device(index: int) -> Sequence[str]:
    return "nonn", "device"


class LocalCluster:
    """Processes of a cluster that serves `bundle`, addressed by index, and always ended on leaving.

        with LocalCluster(Path("samples/digits"), devices=8) as cluster:
            cluster.kill(3)
            Client(cluster.address).predict(images)

    Entering waits until every device serves and every student is served, for at most `start_seconds`; it
    raises ProcessEnded or TimeoutError when that does not come about. Device states and logs lie in `folder`:
    a temporary one unless given. It is removed at the end if it is temporary, or is not to be kept.
    `announce` is told how many more devices serve.
    Commands are run by `python -m`. `aggregator_command` may do more than `nonn`, to be watched from outside;
    `device_command`, by index, may do more than `nonn device`. With `proxy_options`, devices dial
    `fault_lab.proxy`, run with these options, each at an address of its own.
    """

    def __init__(
        self,
        bundle: Path,
        devices: int,
        *,
        folder: Path | None = None,
        keep_folder: bool = True,
        aggregator_command: Sequence[str] = ("nonn",),
        aggregator_options: Sequence[str] = (),
        device_command: Callable[[int], Sequence[str]] = _nonn_device,
        device_options: Sequence[str] = (),
        proxy_options: Sequence[str] | None = None,
        start_seconds: float = 60.0,
        announce: Callable[[int], None] = lambda more: None,
    ) -> None:
        self.bundle = bundle
        self.address = "127.0.0.1:0"
        self._count = devices
        self._own_folder = folder is None or not keep_folder
        # Absolute, or else XDG_STATE_HOME would not count.
        self.folder = Path(tempfile.mkdtemp(prefix="nonn-cluster-")) if folder is None else folder.absolute()
        self._aggregator_command = tuple(aggregator_command)
        self._aggregator_options = tuple(aggregator_options)
        self._device_command = device_command
        self._device_options = tuple(device_options)
        self._proxy_options = proxy_options
        self._start_seconds = start_seconds
        self._announce = announce
        self._serving = 0
        self._port: socket.socket | None = None
        self._guardian: Guardian | None = None
        self._aggregator: NodeProcess | None = None
        self._proxy: NodeProcess | None = None
        self._dialled: list[str] = []
        self._devices: list[NodeProcess] = []

    def __enter__(self) -> Self:
        try:
            self._guardian = Guardian(self.folder if self._own_folder else None)
            self._port = _reserve_port()
            self.address = "{}:{}".format(*self._port.getsockname())
            self._start_aggregator()
            self._start_proxy()
            self._devices = [self._start_device(index) for index in range(self._count)]
            self.wait_until(self._complete, self._start_seconds, watched=self._devices)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- what one does to it

    @property
    def aggregator(self) -> NodeProcess:
        if self._aggregator is None:
            raise RuntimeError("the cluster has not been started")
        return self._aggregator

    @property
    def proxy(self) -> NodeProcess | None:
        """None without `proxy_options`."""
        return self._proxy

    @property
    def devices(self) -> tuple[NodeProcess, ...]:
        return tuple(self._devices)

    def state_folder(self, index: int) -> Path:
        """Where a device keeps who it is, and its students."""
        return self.folder / "state" / "nonn" / "devices" / f"device-{index}"

    def kill(self, index: int) -> None:
        """SIGKILL one device; returns when the process is gone."""
        self._devices[index].kill()

    def pause(self, index: int) -> None:
        """SIGSTOP: the process and its connections stay, but nothing answers."""
        self._devices[index].send(signal.SIGSTOP)

    def resume(self, index: int) -> None:
        self._devices[index].send(signal.SIGCONT)

    def restart(self, index: int) -> None:
        """Kill the device if it lives, and start it again with the same name and state."""
        self.kill(index)
        self._devices[index] = self._start_device(index)

    def restart_aggregator(self) -> None:
        """Kill the aggregator and start another at the same address."""
        self.aggregator.kill()
        self._start_aggregator()

    # ---- what one sees of it

    def status(self, seconds: float = 5.0) -> Status:
        """The aggregator's own view; grpc.RpcError when it does not answer."""
        with grpc.insecure_channel(self.address) as channel:
            answer: Status = nonn_pb2_grpc.InferenceStub(channel).Status(
                nonn_pb2.StatusRequest(), timeout=seconds
            )
            return answer

    def wait_until(
        self, reached: Callable[[Status], bool], seconds: float, watched: Sequence[NodeProcess] = ()
    ) -> Status:
        """Poll the status until `reached` says so; TimeoutError. ProcessEnded when one of `watched` ends."""
        deadline = time.monotonic() + seconds
        latest = None
        while time.monotonic() < deadline:
            with contextlib.suppress(grpc.RpcError):
                latest = self.status()
                if reached(latest):
                    return latest
            for process in (self.aggregator, *watched):
                process.check_alive()
            time.sleep(0.05)
        raise TimeoutError(f"the cluster did not get there within {seconds:g} s; its last status: {latest}")

    # ---- processes

    def _start_aggregator(self) -> None:
        arguments = ["aggregator", "--bundle", str(self.bundle), "--listen", self.address]
        command = [*self._aggregator_command, *arguments, *self._aggregator_options]
        self._aggregator = self._start("aggregator", command)
        self._aggregator.wait_for_line("listening on ", self._start_seconds)

    def _start_proxy(self) -> None:
        if self._proxy_options is None:
            self._dialled = [self.address] * self._count
            return
        names = [f"device-{index}" for index in range(self._count)]
        listen = [word for name in names for word in ("--listen", f"{name}=127.0.0.1:0")]
        command = ["fault_lab.proxy", "--upstream", self.address, *listen, *self._proxy_options]
        self._proxy = self._start("proxy", command)
        self._proxy.wait_for_line("ready", self._start_seconds)
        self._dialled = [self._proxy.wait_for_line(f"listening on {name}=", 0.1) for name in names]

    def _start_device(self, index: int) -> NodeProcess:
        name = f"device-{index}"
        # Devices share this machine's cores.
        parallel = max(machine.cores() // self._count, 1)
        arguments = ["--aggregator", self._dialled[index], "--name", name, "--parallel", str(parallel)]
        return self._start(name, [*self._device_command(index), *arguments, *FP32, *self._device_options])

    def _start(self, name: str, command: Sequence[str]) -> NodeProcess:
        environment = {"XDG_STATE_HOME": str(self.folder / "state")}
        process = NodeProcess(name, command, self.folder / f"{name}.log", environment)
        if self._guardian is not None:
            self._guardian.watch(process.pid)
        return process

    def _complete(self, status: Status) -> bool:
        serving = sum(device.state == nonn_pb2.SERVING for device in status.devices)
        self._announce(serving - self._serving)
        self._serving = serving
        return serving >= self._count and all(student.device_ids for student in status.students)

    def close(self) -> None:
        """End every process, kindly first; safe to call again."""
        try:
            self._end_processes()
        finally:
            if self._guardian is not None:
                self._guardian.dismiss()
            if self._port is not None:
                self._port.close()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end_processes(self) -> None:
        others = [process for process in (self._aggregator, self._proxy) if process is not None]
        processes = [*self._devices, *others]
        for process in processes:
            if process.returncode is None:
                process.send(signal.SIGTERM)
                process.send(signal.SIGCONT)  # a paused one gets to see the SIGTERM
        deadline = time.monotonic() + 5.0
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


def _reserve_port() -> socket.socket:
    """A port of this machine that nobody else gets while the aggregator is not there.

    Else a device that dials while it is away may be given that very port for its own end, and be connected to
    itself. A socket that does not listen leaves the port free for one that does.
    """
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port.bind(("127.0.0.1", 0))
    return port
