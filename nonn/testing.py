"""A real cluster for tests of one's own, whose devices can be hurt; pytest's `nonn_cluster` is one."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from bundle import Bundle
from bundle.errors import NonnError
from fault_lab.control_file import LOOK_SECONDS
from fault_lab.grounds.controls import is_told
from fault_lab.grounds.processes import Processes
from fault_lab.scenario import AGGREGATOR, Injection
from nonn.client import Answer, Client
from nonn.cluster_status import ClusterStatus, DeviceStatus
from nonn.errors import UsageError
from nonn.faults.laboratory import sample
from nonn.faults.single import make_fault, make_scenario

LOOK: Final = 0.02  # seconds between two looks at the status
PATIENCE: Final = 30.0
IN_A_ROW: Final = 2  # requests that everyone has to answer before a cluster counts as whole
HEARING: Final = 5 * LOOK_SECONDS  # in which a proxy or device has seen what its control file tells it
WORKING: Final = ("serving", "idle")
Answers = Literal["refuse", "corrupt", "nan", "wrong_shape", "late", "duplicate", "mute"]


class NeverHappened(NonnError, AssertionError):
    """The cluster did not get into the state that was waited for."""


class Cluster:
    """`nonn aggregator` and `nonn device` processes on this machine that serve `bundle`; ended on leaving.

        with Cluster("samples/digits", devices=8) as cluster, cluster.device("device-3").paused():
            answer = cluster.predict(images)

    bundle: the digits sample unless given. devices: named device-0, device-1, ...; as many as students unless
    given. heal_after: seconds that a lost device's students wait for it, or None for ever. link: ethernet,
    wifi or slow; loopback when left out.
    Entering waits until all devices serve; it raises ProcessEnded or TimeoutError.
    """

    def __init__(
        self,
        bundle: Path | str | None = None,
        devices: int | None = None,
        *,
        heal_after: float | None = None,
        ping: float = 0.5,
        link: str | None = None,
    ) -> None:
        """Raises BundleError, and UsageError for settings that make no sense."""
        self.bundle = Bundle.load(sample() if bundle is None else bundle)
        self._scenario = make_scenario(devices or len(self.bundle.manifest.students), heal_after, ping, link)
        self._numbers = itertools.count()
        self._hurt: list[int] = []  # devices, or AGGREGATOR, once for each fault that lasts
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ends:
            self._ground = ends.enter_context(
                Processes(self._scenario, self.bundle.path, folder=None, seed=0, every_fault=True)
            )
            self._client = ends.enter_context(Client(self._ground.address))
            self.wait_whole()
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    # ---- asking

    @property
    def address(self) -> str:
        """HOST:PORT of the aggregator, for clients of one's own."""
        return self._ground.address

    def predict(self, images: ArrayLike, deadline: float = 2.0, **options: Any) -> Answer:
        """As `nonn.Client.predict`."""
        return self._client.predict(images, deadline, **options)

    def status(self) -> ClusterStatus:
        """As `nonn.Client.status`."""
        return self._client.status()

    # ---- hurting

    def device(self, name: str | int) -> "Device":
        """`device-3`, or 3. Raises UsageError when there is no such device."""
        names = self._scenario.cluster.names
        name = f"device-{name}" if isinstance(name, int) else name
        if name not in names:
            raise UsageError(f"there is no {name!r}: the devices are {names[0]} to {names[-1]}")
        return Device(self, name, names.index(name))

    @property
    def devices(self) -> tuple["Device", ...]:
        return tuple(self.device(index) for index in range(self._scenario.cluster.devices))

    def aggregator_paused(self) -> contextlib.AbstractContextManager[None]:
        """Within the block the aggregator hangs."""
        return self.hurt(AGGREGATOR, "aggregator_pause")

    def aggregator_killed(self) -> contextlib.AbstractContextManager[None]:
        """Within the block there is no aggregator."""
        return self.hurt(AGGREGATOR, "aggregator_restart")

    @contextlib.contextmanager
    def hurt(self, device: int, fault: str, **parameters: Any) -> Iterator[None]:
        """Within the block a device (its index, or AGGREGATOR) suffers a fault, as a scenario file names it.

        Leaving waits until whoever nothing else is done to serves again, and answers; it does not where an
        error is on its way out. Raises NeverHappened.
        """
        made = make_fault(device, fault, parameters)
        injection = Injection(next(self._numbers), made, device, 0.0, 0.0)
        self._hurt.append(device)
        try:
            self._ground.begin(injection)
            if is_told(made):
                time.sleep(HEARING)
            yield
        finally:
            self._hurt.remove(device)
            if not made.instant:
                self._ground.end(injection)
        if AGGREGATOR not in self._hurt:
            self.wait_whole()

    # ---- waiting

    def wait_until(
        self, reached: Callable[[ClusterStatus], bool], seconds: float = PATIENCE
    ) -> ClusterStatus:
        """Looks at the status again and again. Raises NeverHappened."""
        deadline = time.monotonic() + seconds
        latest: ClusterStatus | None = None
        while time.monotonic() < deadline:
            with contextlib.suppress(NonnError):
                latest = self.status()
                if reached(latest):
                    return latest
            time.sleep(LOOK)
        states = ", ".join(f"{d.name} {d.state}" for d in latest.devices) if latest else "no status"
        raise NeverHappened(f"the cluster did not get there within {seconds:g} s: {states}")

    def wait_whole(self, seconds: float = PATIENCE) -> None:
        """Every device that nothing is done to serves, and their students answer. Raises NeverHappened."""
        names = self._scenario.cluster.names
        sound = {name for index, name in enumerate(names) if index not in self._hurt}

        def whole(status: ClusterStatus) -> bool:
            working = [device for device in status.devices if device.name in sound and _works(device)]
            able = {student for device in working for student in device.serving}
            served = bool(self._hurt) or len(able) == len(status.students)
            there = len(working) == len(sound) and served
            return there and all(self._answer(able) for _ in range(IN_A_ROW))

        self.wait_until(whole, seconds)

    def _answer(self, students: set[int]) -> bool:
        """Whether they all take part in the answer to a request."""
        image = np.zeros(self.bundle.manifest.input.shape, np.uint8)
        return not students or students <= set(self._client.predict(image, policy="all").answered)


class Device:
    """One device of a `Cluster`. What is done to it lasts for a `with` block."""

    def __init__(self, cluster: Cluster, name: str, index: int) -> None:
        self.name = name
        self._cluster = cluster
        self._index = index

    # ---- what the aggregator says of it

    @property
    def status(self) -> DeviceStatus | None:
        """None when the aggregator does not know it, or not any more."""
        return next((d for d in self._cluster.status().devices if d.name == self.name), None)

    @property
    def state(self) -> str:
        """`serving`, `suspect`, ... as in `nonn status`; `lost` when the aggregator does not know it."""
        status = self.status
        return "lost" if status is None else status.state

    @property
    def students(self) -> tuple[int, ...]:
        """That it serves."""
        status = self.status
        return () if status is None else status.serving

    def wait_serving(self, seconds: float = PATIENCE) -> None:
        """Until it works. Raises NeverHappened."""
        self._cluster.wait_until(self._is_counted_on, seconds)

    def wait_lost(self, seconds: float = PATIENCE) -> None:
        """Until the aggregator counts on it no more. Raises NeverHappened."""
        self._cluster.wait_until(lambda status: not self._is_counted_on(status), seconds)

    def _is_counted_on(self, status: ClusterStatus) -> bool:
        return any(device.name == self.name and device.state in WORKING for device in status.devices)

    # ---- what one does to it

    def hurt(self, fault: str, **parameters: Any) -> contextlib.AbstractContextManager[None]:
        """Any fault that a scenario file may name: `hurt("bandwidth", rate=20_000, stream="upstream")`."""
        return self._cluster.hurt(self._index, fault, **parameters)

    def killed(self) -> contextlib.AbstractContextManager[None]:
        """SIGKILL; started again at the end."""
        return self.hurt("kill")

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """SIGSTOP, and SIGCONT at the end."""
        return self.hurt("pause")

    def cut_off(self) -> contextlib.AbstractContextManager[None]:
        """Its connections end, and it can make none."""
        return self.hurt("down")

    def silenced(self) -> contextlib.AbstractContextManager[None]:
        """Its connections stay, and nothing passes."""
        return self.hurt("timeout")

    def delayed(self, latency: float, jitter: float = 0.0) -> contextlib.AbstractContextManager[None]:
        """Every byte is so many seconds longer under way."""
        return self.hurt("latency", latency=latency, jitter=jitter)

    def slowed(self, factor: float) -> contextlib.AbstractContextManager[None]:
        """It computes for so many times as long."""
        return self.hurt("slow", factor=factor)

    def answering(self, how: Answers, **parameters: Any) -> contextlib.AbstractContextManager[None]:
        """Its answers are like this: `answering("nan")`, `answering("late", delay=3.0)`."""
        return self.hurt(how, **parameters)

    def restart(self) -> None:
        """Kill it and start it again; returns when it serves."""
        with self.hurt("restart"):
            pass


def _works(device: DeviceStatus) -> bool:
    return device.state in WORKING and set(device.serving) == set(device.assigned)
