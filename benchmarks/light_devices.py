"""Devices that do everything but compute: `python -m benchmarks.light_devices HOST:PORT --streams N`.

They speak the cluster's protocol as a device with one student does, so that the aggregator cannot tell them
from real ones, and answer each work at once with the student's self-test logits. So many can run on a small
machine without taking its processors from the aggregator that is measured.
"""

import argparse
import asyncio
import uuid

import grpc
import numpy as np
import uvloop

from protos import PROTOCOL_VERSION, nonn_pb2, tensors

CHANNEL_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
JOIN = "/nonn.v1.Cluster/Join"


class LightDevice:
    def __init__(self, name: str, megabytes: int) -> None:
        self.name = name
        self._memory_bytes = megabytes * 1_000_000
        self._students: dict[int, np.ndarray] = {}

    async def run(self, address: str) -> None:
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            call = channel.stream_stream(JOIN)()
            await call.write(nonn_pb2.DeviceMessage(hello=self._hello()).SerializeToString())
            while (data := await call.read()) is not grpc.aio.EOF:
                for reply in self._replies(nonn_pb2.AggregatorMessage.FromString(data)):
                    await call.write(reply.SerializeToString())

    def _hello(self) -> nonn_pb2.Hello:
        return nonn_pb2.Hello(
            device_id=uuid.uuid4().hex,
            name=self.name,
            protocol_version=PROTOCOL_VERSION,
            architecture="light",
            memory_bytes=self._memory_bytes,
            cores=1,
        )

    def _replies(self, message: nonn_pb2.AggregatorMessage) -> list[nonn_pb2.DeviceMessage]:
        kind = message.WhichOneof("kind")
        if kind == "work":
            return [self._partial(message.work, student) for student in self._students]
        if kind == "ping":
            return [nonn_pb2.DeviceMessage(pong=nonn_pb2.Pong(sequence=message.ping.sequence))]
        if kind == "assignment":
            return self._take(message.assignment)
        return []

    def _take(self, assignment: nonn_pb2.Assignment) -> list[nonn_pb2.DeviceMessage]:
        self._students = {
            assigned.student: tensors.decode(assigned.self_test_logits, nonn_pb2.FLOAT32, 2)[:1]
            for assigned in assignment.students
        }
        return [
            nonn_pb2.DeviceMessage(
                ready=nonn_pb2.Ready(
                    bundle_id=assigned.bundle_id,
                    student=assigned.student,
                    self_test_passed=True,
                    load_seconds=0.1,
                    speed=1.0,
                )
            )
            for assigned in assignment.students
        ]

    def _partial(self, work: nonn_pb2.Work, student: int) -> nonn_pb2.DeviceMessage:
        logits = np.repeat(self._students[student], work.images.shape[0], axis=0)
        return nonn_pb2.DeviceMessage(
            partial=nonn_pb2.Partial(
                bundle_id=work.bundle_id,
                work_id=work.work_id,
                student=student,
                logits=tensors.encode(logits),
                queue_seconds=1e-4,
                compute_seconds=1e-3,
            )
        )


async def run(address: str, streams: int, megabytes: int) -> None:
    devices = [LightDevice(f"light-{index}", megabytes) for index in range(streams)]
    await asyncio.gather(*(device.run(address) for device in devices))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--memory", type=int, required=True, metavar="MB", help="that each says it has")
    arguments = parser.parse_args()
    uvloop.run(run(arguments.address, arguments.streams, arguments.memory))


if __name__ == "__main__":
    main()
