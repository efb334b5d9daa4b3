"""Scenarios on containers: kill, pause and network disconnect by the engine, a proxy for each link."""

import contextlib
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import grpc

from fault_lab import control_file
from fault_lab.containers import engine
from fault_lab.containers.engine import docker
from fault_lab.containers.guardian import ProjectGuardian
from fault_lab.containers.image import find_image
from fault_lab.containers.lab_file import LINKS_FILE, LabCluster, control_name
from fault_lab.grounds.controls import OF_LINKS, Controls, needs_mischief, needs_proxy
from fault_lab.grounds.options import aggregator_options
from fault_lab.processes import ProcessEnded
from fault_lab.scenario import AGGREGATOR, Injection, Scenario
from fault_lab.scenario.faults import (
    AggregatorPause,
    AggregatorRestart,
    DamagedCache,
    Down,
    Kill,
    Pause,
    Restart,
)
from protos import nonn_pb2, nonn_pb2_grpc

START_SECONDS: Final = 180.0  # for a cluster of slow links
LAST_LINES: Final = 20
UP: Final = ("up", "--detach", "--no-build", "--pull", "never")
# Every bit of a device's cached students becomes another one.
DAMAGE: Final = """
from pathlib import Path
for path in Path("/state").rglob("*.onnx"):
    path.write_bytes(bytes(byte ^ 0xFF for byte in path.read_bytes()))
"""


class Compose:
    """A ground: a compose project of its own, of which nothing is left at the end, however it ends.

    image: of the containers; the one that NONN_IMAGE names, or that of the checkout, unless given. Raises
    ContainersUnavailable, on entering, when there is no engine or no image. The compose file, control files
    and, after the end, logs lie in `folder`.
    """

    name = "compose"

    def __init__(
        self,
        scenario: Scenario,
        bundle: Path,
        *,
        folder: Path,
        seed: int,
        announce: Callable[[int], None] = lambda more: None,
        image: str | None = None,
    ) -> None:
        self._scenario = scenario
        self._bundle = bundle.resolve()
        self._folder = folder.resolve()
        self._seed = seed
        self._announce = announce
        self._image = image
        self._project = f"nonn-lab-{uuid.uuid4().hex[:12]}"
        self._controls = Controls(scenario.cluster, seed)
        self._control = self._folder / "control"
        self._port = _free_port()
        self._serving = 0
        self._dead = set[str]()  # containers that nobody expects to live, or has told of already
        self._guardian: ProjectGuardian | None = None

    @classmethod
    def shortcomings(cls, scenario: Scenario) -> list[str]:
        """Nothing: every fault there is can be done to containers."""
        return []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def project(self) -> str:
        return self._project

    def __enter__(self) -> Self:
        engine.check_engine()
        image = find_image(self._image)
        file = self._write_files(image)
        self._guardian = ProjectGuardian(self._project)
        try:
            docker("compose", "-f", str(file), *UP, seconds=START_SECONDS)
            self._wait_until_serving()
        except BaseException as error:
            self._close(type(error))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(kind)

    def _close(self, kind: type[BaseException] | None) -> None:
        if self._guardian is None:
            return
        # A docker command that was broken off or took too long may still be at work in the engine.
        broken_off = (KeyboardInterrupt, engine.ContainersUnavailable)
        orderly = kind is None or not issubclass(kind, broken_off)
        try:
            self._keep_logs()
        finally:
            self._guardian.dismiss(orderly=orderly)

    # ---- faults

    def begin(self, injection: Injection) -> None:
        container = self._container(injection.device)
        match injection.fault:
            case Kill() | AggregatorRestart():
                self._dead.add(container)
                docker("kill", container)
            case Restart():
                self._restart(container)
            case Pause() | AggregatorPause():
                docker("pause", container)
            case Down():
                docker("network", "disconnect", self._network, container)
            case DamagedCache():
                docker("exec", container, "python3", "-c", DAMAGE)
                self._restart(container)
            case _:
                self._controls.begin(injection)
                self._tell(injection)

    def end(self, injection: Injection) -> None:
        container = self._container(injection.device)
        match injection.fault:
            case Kill() | AggregatorRestart():
                docker("start", container)
                self._dead.discard(container)
            case Pause() | AggregatorPause():
                docker("unpause", container)
            case Down():
                docker("network", "connect", self._network, container)
            case _:
                self._controls.end(injection)
                self._tell(injection)

    def _restart(self, container: str) -> None:
        """Not `docker restart`, which would let it say goodbye."""
        docker("kill", container)
        docker("start", container)

    def _tell(self, injection: Injection) -> None:
        if injection.fault.group in OF_LINKS:
            control_file.write(self._control / LINKS_FILE, self._controls.proxy())
        else:
            name = control_name(self._name(injection.device))
            control_file.write(self._control / name, self._controls.mischief(injection.device))

    # ---- what one sees of it

    def deaths(self) -> list[str]:
        ended = [name for name in engine.ended(self._project) if name not in self._dead]
        self._dead.update(ended)
        if links := next((name for name in ended if name.endswith("-links-1")), None):
            raise ProcessEnded(f"the container {links} ended: {engine.last_lines(links, 1)}")
        return [f"{name} ended by itself: {engine.last_lines(name, 1)}" for name in ended]

    def last_words(self, device: int) -> str:
        kept = self._folder / f"{self._name(device)}.log"
        return kept.read_text() if kept.is_file() else self._log(device)

    def _log(self, device: int) -> str:
        with contextlib.suppress(engine.ContainersUnavailable):
            return engine.last_lines(self._container(device), LAST_LINES)
        return ""

    def _keep_logs(self) -> None:
        for device in (AGGREGATOR, *range(self._scenario.cluster.devices)):
            (self._folder / f"{self._name(device)}.log").write_text(self._log(device))

    def _wait_until_serving(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._is_serving():
                return
            self._check_alive()
            time.sleep(0.2)
        raise TimeoutError(f"the devices in containers did not all serve within {START_SECONDS:g} s")

    def _is_serving(self) -> bool:
        with grpc.insecure_channel(self.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            try:
                request = nonn_pb2.StatusRequest()
                status = nonn_pb2_grpc.InferenceStub(channel).Status(request, timeout=5.0)
            except grpc.RpcError:
                return False
        serving = sum(device.state == nonn_pb2.SERVING for device in status.devices)
        self._announce(serving - self._serving)
        self._serving = serving
        whole = all(student.device_ids for student in status.students)
        return whole and serving >= self._scenario.cluster.devices

    def _check_alive(self) -> None:
        """Raises ProcessEnded when a container is not running."""
        for container in engine.ended(self._project):
            said = engine.last_lines(container, 1)
            raise ProcessEnded(f"the container {container} ended: {said or 'it said nothing'}")

    # ---- names and files

    @property
    def _network(self) -> str:
        return f"{self._project}_default"

    def _name(self, device: int) -> str:
        return "aggregator" if device == AGGREGATOR else self._scenario.cluster.names[device]

    def _container(self, device: int) -> str:
        return f"{self._project}-{self._name(device)}-1"

    def _write_files(self, image: str) -> Path:
        cluster = self._scenario.cluster
        self._control.mkdir(parents=True, exist_ok=True)
        self._control.chmod(0o755)  # the containers' user is not ours
        control_file.write(self._control / LINKS_FILE, self._controls.proxy())
        lab = LabCluster(
            project=self._project,
            image=image,
            bundle=self._bundle,
            control=self._control,
            port=self._port,
            devices=cluster.names,
            seed=self._seed,
            linked=needs_proxy(self._scenario),
            mischievous=needs_mischief(self._scenario),
            aggregator_options=aggregator_options(self._scenario),
            device_options=() if cluster.memory_mb is None else ("--memory", str(cluster.memory_mb)),
        )
        file = self._folder / "compose.yml"
        file.write_text(lab.text())
        return file


def _free_port() -> int:
    """Of loopback, where nothing listens now; the engine holds it for the whole life of the cluster."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
