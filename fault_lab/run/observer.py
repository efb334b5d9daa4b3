"""What the aggregator says of its cluster, looked at again and again."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import grpc

from fault_lab.record import Sample
from fault_lab.run.asking import OPTIONS
from protos import nonn_pb2, nonn_pb2_grpc

LOOK: Final = 0.1  # seconds between two looks
PATIENCE: Final = 1.0  # seconds for a look
Status = nonn_pb2.StatusResponse


class Observer:
    """latest: what was seen last, or None while the aggregator does not answer. seen: when (monotonic)."""

    def __init__(self, address: str, devices: int, look: Callable[["Observer"], None]) -> None:
        self.latest: Status | None = None
        self.seen = 0.0
        self._address = address
        self._devices = devices
        self._look = look
        self._looked = asyncio.Condition()

    async def run(self) -> None:
        """Until cancelled."""
        async with grpc.aio.insecure_channel(self._address, options=OPTIONS) as channel:
            stub = nonn_pb2_grpc.InferenceStub(channel)
            while True:
                try:
                    self.latest = await stub.Status(nonn_pb2.StatusRequest(), timeout=PATIENCE)
                except grpc.aio.AioRpcError:
                    self.latest = None
                self.seen = time.monotonic()
                self._look(self)
                async with self._looked:
                    self._looked.notify_all()
                await asyncio.sleep(LOOK)

    async def wait(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Whether it is reached within so many seconds."""
        try:
            async with asyncio.timeout(seconds), self._looked:
                await self._looked.wait_for(reached)
        except TimeoutError:
            return False
        return True

    # ---- what was seen

    def lacking(self) -> str:
        """What is not as it is without faults, or nothing."""
        status = self.latest
        if status is None:
            return "the aggregator does not answer"
        states = {device.name: nonn_pb2.DeviceState.Name(device.state).lower() for device in status.devices}
        if ill := {name: state for name, state in states.items() if state not in ("serving", "idle")}:
            return ", ".join(f"{name} is {state}" for name, state in sorted(ill.items()))
        if len(states) != self._devices:
            return f"{len(states)} of {self._devices} devices are there"
        if unloaded := self.unloaded():
            return unloaded
        if left := [student.student for student in status.students if not student.device_ids]:
            return f"students {left} are served by nobody"
        return ""

    def unloaded(self) -> str:
        """What some device has been assigned and does not serve yet, or nothing."""
        for device in self.latest.devices if self.latest else ():
            if set(device.assigned) != set(device.serving):
                return f"{device.name} serves {list(device.serving)} of {list(device.assigned)}"
        return ""

    def whole(self) -> bool:
        return not self.lacking()

    def states(self) -> tuple[tuple[str, str], ...]:
        """By device's name, sorted as people count."""
        devices = self.latest.devices if self.latest else ()
        named = [(device.name, nonn_pb2.DeviceState.Name(device.state).lower()) for device in devices]
        return tuple(sorted(named, key=lambda pair: (len(pair[0]), pair[0])))

    def students(self) -> dict[int, tuple[int, ...]]:
        """By index of the device, those that it serves or is to serve."""
        devices = self.latest.devices if self.latest else ()
        return {
            int(device.name.rpartition("-")[2]): tuple({*device.assigned, *device.serving})
            for device in devices
        }

    def served(self) -> tuple[int, ...]:
        """Students that some device serves, ascending."""
        students = self.latest.students if self.latest else ()
        return tuple(sorted(student.student for student in students if student.device_ids))

    def hosts(self) -> dict[int, tuple[int, ...]]:
        """By part, indices of the devices that serve it."""
        if self.latest is None:
            return {}
        index = {device.device_id: int(device.name.rpartition("-")[2]) for device in self.latest.devices}
        found: dict[int, set[int]] = {}
        for student in self.latest.students:
            found.setdefault(student.part, set()).update(index[name] for name in student.device_ids)
        return {part: tuple(sorted(devices)) for part, devices in found.items()}

    def sample(self, at: float) -> Sample:
        status = self.latest
        if status is None:
            return Sample(at, 0, 0, 0, 0.0)
        served = [student for student in status.students if student.device_ids]
        return Sample(
            at,
            sum(device.state == nonn_pb2.SERVING for device in status.devices),
            len(served),
            len({student.part for student in served}),
            status.expected_accuracy if served else 0.0,
        )
