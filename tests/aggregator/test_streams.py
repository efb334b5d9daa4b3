"""Device streams over real gRPC: how they begin, what they carry, how they end."""

import asyncio
import contextlib
from typing import Any

import grpc
import numpy as np
import pytest

from aggregator import Settings, link, server
from bundle import Bundle
from protos import MOST_STUDENTS, PROTOCOL_VERSION, nonn_pb2, nonn_pb2_grpc, tensors
from tests.aggregator.scripted import (
    ONE_STUDENT,
    PATIENT,
    QUICK,
    Cluster,
    Device,
    images,
    refusal,
    request,
    run,
    serving,
    until,
)


def stream_errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Ours, and gRPC's about misuse of it; not its own about calls that were cancelled before they began."""
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    return [e.getMessage() for e in errors if e.name == "aggregator" or "raised" in e.getMessage()]


def test_a_device_is_told_all_that_it_needs(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            device = Device(await cluster.channel(), "d")
            welcome = await device.join()
            assert (welcome.protocol_version, welcome.window) == (PROTOCOL_VERSION, QUICK.window)
            assert welcome.ping_seconds == QUICK.ping
            assignment = (await device.call.read()).assignment
            (student,) = assignment.students
            assert student.bundle_id == bundle.manifest.id
            entry = bundle.manifest.students[student.student]
            assert (student.part, student.sha256, student.bytes) == (entry.part, entry.sha256, entry.bytes)
            logits = tensors.decode(student.self_test_logits, nonn_pb2.FLOAT32, 2)
            np.testing.assert_array_equal(logits, bundle.self_test.partials[student.student])
            self_test = tensors.decode(student.self_test_images, nonn_pb2.UINT8, 4)
            np.testing.assert_array_equal(self_test, bundle.self_test.images)

    run(test)


def test_students_are_fetched_by_digest_only(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            stub = nonn_pb2_grpc.ClusterStub(await cluster.channel())
            digest = bundle.manifest.students[2].sha256
            chunks = [
                chunk.data async for chunk in stub.FetchStudent(nonn_pb2.FetchStudentRequest(sha256=digest))
            ]
            assert len(chunks) > 1
            assert b"".join(chunks) == bundle.student_bytes(2)
            for unknown in ("", "0" * 64, "../manifest.json"):
                call = stub.FetchStudent(nonn_pb2.FetchStudentRequest(sha256=unknown))
                assert (await refusal(call.read())).code() is grpc.StatusCode.NOT_FOUND

    run(test)


@pytest.mark.parametrize(
    ("first", "code", "says"),
    [
        (nonn_pb2.DeviceMessage(pong=nonn_pb2.Pong()), "INVALID_ARGUMENT", "Hello"),
        (nonn_pb2.DeviceMessage(), "INVALID_ARGUMENT", "Hello"),
        (
            nonn_pb2.DeviceMessage(hello=nonn_pb2.Hello(device_id="d", protocol_version=9)),
            "FAILED_PRECONDITION",
            "protocol version 9",
        ),
        (
            nonn_pb2.DeviceMessage(hello=nonn_pb2.Hello(protocol_version=PROTOCOL_VERSION)),
            "INVALID_ARGUMENT",
            "device_id",
        ),
        (
            nonn_pb2.DeviceMessage(hello=nonn_pb2.Hello(device_id="a\nb", protocol_version=PROTOCOL_VERSION)),
            "INVALID_ARGUMENT",
            "device_id",
        ),
    ],
    ids=["pong", "empty", "version", "no id", "id of two lines"],
)
def test_a_stream_begins_with_a_proper_hello(bundle: Bundle, first: Any, code: str, says: str) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            device = Device(await cluster.channel(), "d")
            await device.call.write(first)
            error = await refusal(device.call.read())
            assert error.code().name == code
            assert says in (error.details() or "")
            assert not (await cluster.status()).devices

    run(test)


def test_a_stream_without_a_hello_is_ended(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HELLO_SECONDS", 0.1)

    async def test() -> None:
        async with serving(bundle) as cluster:
            device = Device(await cluster.channel(), "d")
            assert (await refusal(device.call.read())).code() is grpc.StatusCode.DEADLINE_EXCEEDED

    run(test)


def test_a_device_that_joins_again_replaces_its_old_self(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            old = Device(await cluster.channel(), "d")
            await old.join()
            life = asyncio.create_task(old.live())
            await cluster.served(4)
            await cluster.device("d")
            error = await refusal(life)
            assert error.code() is grpc.StatusCode.ABORTED
            await cluster.served(4)
            assert [device.device_id for device in (await cluster.status()).devices] == ["d"]

    run(test)


def test_a_device_whose_connection_breaks_is_lost_at_once(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle, Settings(settle=0.05)) as cluster:
            devices = [await cluster.device(f"d{number}") for number in range(4)]
            await cluster.served(4)
            devices[0].answering = False
            client = await cluster.client()
            call = client.Predict(request(images()), timeout=PATIENT)
            pending = asyncio.ensure_future(call)
            await devices[0].works.get()
            devices[0].call.cancel()
            answer = await pending
            assert answer.degraded
            lost = [student.student for student in devices[0].assigned]
            assert list(answer.missing) == lost
            assert answer.expected_accuracy == bundle.expected_accuracy({0, 1, 2, 3} - set(lost))
            await cluster.gone("d0")

    run(test)


def test_a_device_that_leaves_is_forgotten(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            device = await cluster.device("d")
            await cluster.served(4)
            await device.say(leaving=nonn_pb2.Leaving(reason="stopped"))
            await device.call.done_writing()
            await cluster.gone("d")
            assert await device.call.code() is grpc.StatusCode.OK

    run(test)


def test_bytes_that_are_no_message_hurt_no_one(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle, devices=1) as cluster:
            channel = await cluster.channel()
            for method in ("Inference/Predict", "Cluster/FetchStudent"):
                call = channel.unary_unary(f"/nonn.v1.{method}")(b"\xff\xff\xff")
                assert (await refusal(call)).code() is grpc.StatusCode.INVALID_ARGUMENT
            join = channel.stream_stream("/nonn.v1.Cluster/Join")()
            await join.write(b"\xff\xff\xff")
            assert (await refusal(join.read())).code() is grpc.StatusCode.INVALID_ARGUMENT
            hello = nonn_pb2.Hello(device_id="x", protocol_version=PROTOCOL_VERSION)
            join = channel.stream_stream("/nonn.v1.Cluster/Join")()
            await join.write(nonn_pb2.DeviceMessage(hello=hello).SerializeToString())
            await join.write(b"\xff\xff\xff")
            await join.write(nonn_pb2.DeviceMessage(hello=hello).SerializeToString())

            async def both_counted() -> bool:
                return (await cluster.status()).dropped_messages == 2

            await until(both_counted)
            client = await cluster.client()
            assert not (await client.Predict(request(images()), timeout=PATIENT)).degraded

    run(test)


def test_nonsense_from_a_device_is_dropped_and_others_serve_on(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            bad, good = await cluster.device("bad"), await cluster.device("good")
            await cluster.served(4)
            bad.answering = False
            client = await cluster.client()
            pending = asyncio.ensure_future(client.Predict(request(images()), timeout=PATIENT))
            work = await bad.works.get()
            junk = nonn_pb2.Tensor(type=nonn_pb2.FLOAT32, shape=[1, 2**32 - 1], data=b"1")
            for student in bad.assigned:
                partial = nonn_pb2.Partial(
                    bundle_id=work.bundle_id, work_id=work.work_id, student=student.student, logits=junk
                )
                await bad.say(partial=partial)
            answer = await pending
            assert list(answer.answered) == sorted(student.student for student in good.assigned)
            assert (await cluster.status()).dropped_messages == len(bad.assigned)

    run(test)


def test_a_device_that_reads_nothing_holds_up_no_one(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its stream is full of works that it does not read; the other device's is not."""
    monkeypatch.setattr(link, "OUTGOING", 8)

    async def test() -> None:
        settings = Settings(ping=0.05, settle=0.05, window=8, max_batch=100_000, misses=1000, margin=0.5)
        async with serving(bundle, settings) as cluster:
            options = [("grpc.http2.lookahead_bytes", 1024), ("grpc.use_local_subchannel_pool", 1)]
            channel = await cluster.stack.enter_async_context(
                grpc.aio.insecure_channel(cluster.aggregator.address, options=options)
            )
            deaf = Device(channel, "deaf", memory_bytes=ONE_STUDENT)
            await deaf.join()
            assigned = (await deaf.call.read()).assignment
            await deaf.ready(assigned.students[0])
            good = await cluster.device("good")
            await cluster.served(4)
            client = await cluster.client()

            async def cut_off() -> bool:
                answer = await client.Predict(request(images(100_000)), timeout=1.0)
                assert list(answer.answered) == [student.student for student in good.assigned]
                return all(device.device_id != "deaf" for device in (await cluster.status()).devices)

            await until(cut_off)

    run(test)
    assert not stream_errors(caplog)


def test_streams_may_end_at_any_moment(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    """Above all while the aggregator is writing to them: gRPC then takes no status yet."""

    async def come_and_go(cluster: Cluster, number: int) -> None:
        device = Device(await cluster.channel(), f"d{number % 3}")
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await device.join()
            if number % 2:
                await device.call.done_writing()
            while await device.call.read() is not grpc.aio.EOF:
                pass

    async def test() -> None:
        async with serving(bundle, Settings(ping=0.002, settle=0.0)) as cluster:
            streams = [asyncio.create_task(come_and_go(cluster, number)) for number in range(60)]

            async def half_have_ended() -> bool:
                return sum(stream.done() for stream in streams) >= 30

            await until(half_have_ended)
        await asyncio.wait(streams)

    run(test)
    assert not stream_errors(caplog)


def test_answers_that_nobody_asked_for_shut_a_device_out_however_few_messages_they_come_in(
    bundle: Bundle,
) -> None:
    many = nonn_pb2.Partials(partials=[nonn_pb2.Partial()] * MOST_STUDENTS)

    async def test() -> None:
        async with serving(bundle) as cluster:
            device = await cluster.device("d")
            with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                for _ in range(2):
                    await device.say(partials=many)
            assert await device.call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "more answers than anyone asked it for" in await device.call.details()

    run(test)
