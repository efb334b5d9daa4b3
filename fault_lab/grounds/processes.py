"""Scenarios on real processes of this machine: signals, a proxy for each link, devices that do as told."""

import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from fault_lab import control_file
from fault_lab.grounds.controls import OF_LINKS, Controls, needs_mischief, needs_proxy
from fault_lab.grounds.options import aggregator_options
from fault_lab.local_cluster import LocalCluster
from fault_lab.scenario import AGGREGATOR, Injection, Scenario
from fault_lab.scenario.faults import (
    AggregatorPause,
    AggregatorRestart,
    DamagedCache,
    Kill,
    Pause,
    Restart,
)

START_SECONDS: Final = 180.0  # for a cluster of slow links
LAST_BYTES: Final = 2000


class Processes:
    """A ground: `LocalCluster`, to which the faults of a scenario can be done.

    Logs, device states and control files lie in `folder`, and stay there; None: a temporary one. every_fault:
    be ready for faults that the scenario does not name.
    """

    name = "processes"

    def __init__(
        self,
        scenario: Scenario,
        bundle: Path,
        *,
        folder: Path | None,
        seed: int,
        every_fault: bool = False,
        announce: Callable[[int], None] = lambda more: None,
    ) -> None:
        keep = folder is not None
        folder = folder or Path(tempfile.mkdtemp(prefix="nonn-lab-"))
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._controls = Controls(scenario.cluster, seed)
        self._mischievous = every_fault or needs_mischief(scenario)
        self._dead = set[int]()  # devices, or AGGREGATOR, that nobody expects to live, or has told of already
        self._links = folder / "links.json"
        proxy_options = ["--control", str(self._links), "--seed", str(seed)]
        memory = scenario.cluster.memory_mb
        self._cluster = LocalCluster(
            bundle,
            scenario.cluster.devices,
            folder=folder,
            keep_folder=keep,
            aggregator_options=aggregator_options(scenario),
            device_command=self._device_command,
            device_options=[] if memory is None else ["--memory", str(memory)],
            proxy_options=proxy_options if every_fault or needs_proxy(scenario) else None,
            start_seconds=START_SECONDS,
            announce=announce,
        )

    @classmethod
    def shortcomings(cls, scenario: Scenario) -> list[str]:
        """Nothing: every fault there is can be done to processes."""
        return []

    @property
    def address(self) -> str:
        return self._cluster.address

    def __enter__(self) -> Self:
        control_file.write(self._links, self._controls.proxy())
        self._cluster.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.close()

    def begin(self, injection: Injection) -> None:
        cluster, device = self._cluster, injection.device
        if isinstance(injection.fault, (Kill, AggregatorRestart)):
            self._dead.add(device)
        match injection.fault:
            case Kill():
                cluster.kill(device)
            case Restart():
                cluster.restart(device)
            case Pause():
                cluster.pause(device)
            case DamagedCache():
                cluster.kill(device)
                damage_cache(cluster.state_folder(device) / "students")
                cluster.restart(device)
            case AggregatorRestart():
                cluster.aggregator.kill()
            case AggregatorPause():
                cluster.aggregator.send(signal.SIGSTOP)
            case _:
                self._controls.begin(injection)
                self._tell(injection)

    def end(self, injection: Injection) -> None:
        match injection.fault:
            case Kill():
                self._cluster.restart(injection.device)
            case Pause():
                self._cluster.resume(injection.device)
            case AggregatorRestart():
                self._cluster.restart_aggregator()
            case AggregatorPause():
                self._cluster.aggregator.send(signal.SIGCONT)
            case _:
                self._controls.end(injection)
                self._tell(injection)
        if isinstance(injection.fault, (Kill, AggregatorRestart)):
            self._dead.discard(injection.device)

    def deaths(self) -> list[str]:
        cluster = self._cluster
        if cluster.proxy is not None:
            cluster.proxy.check_alive()
        nodes = {AGGREGATOR: cluster.aggregator, **dict(enumerate(cluster.devices))}
        found = []
        for device, node in nodes.items():
            if device not in self._dead and node.returncode is not None:
                self._dead.add(device)
                said = (node.output().strip().splitlines() or ["it said nothing"])[-1]
                found.append(f"{node.name} ended by itself, with exit code {node.returncode}: {said}")
        return found

    def last_words(self, device: int) -> str:
        name = "aggregator" if device == AGGREGATOR else f"device-{device}"
        return (self._folder / f"{name}.log").read_bytes()[-LAST_BYTES:].decode(errors="replace")

    def _tell(self, injection: Injection) -> None:
        if injection.fault.group in OF_LINKS:
            control_file.write(self._links, self._controls.proxy())
        else:
            device = injection.device
            control_file.write(self._mischief_file(device), self._controls.mischief(device))

    def _mischief_file(self, device: int) -> Path:
        return self._folder / f"device-{device}.json"

    def _device_command(self, device: int) -> Sequence[str]:
        if not self._mischievous:
            return "nonn", "device"
        return "fault_lab.mischief", str(self._mischief_file(device))


def damage_cache(students: Path) -> None:
    """Every bit of a device's cached students is another one; no device may be using them."""
    for path in students.glob("*.onnx"):
        path.write_bytes(bytes(byte ^ 0xFF for byte in path.read_bytes()))
