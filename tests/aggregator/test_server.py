"""The gRPC shell over loopback, with scripted devices and clients that speak the protocol themselves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import grpc
import numpy as np
import pytest

from aggregator import Aggregator, ListenError, Settings, SettingsError, link, server
from bundle import Bundle
from protos import PROTOCOL_VERSION, nonn_pb2, nonn_pb2_grpc, tensors

CLASSES = 3
SHAPE = (4, 4, 1)
PATIENT = 20.0  # seconds that a test waits for what must come
QUICK = Settings(ping=0.05, settle=0.05)
ONE_STUDENT = 42 * 2**20  # bytes of memory that are enough for one, not for two


def compute(images: np.ndarray, student: int) -> np.ndarray:
    rows = images.reshape(len(images), -1).mean(axis=1, dtype=np.float32)
    return rows[:, None] + np.arange(CLASSES, dtype=np.float32) * np.float32(student + 1)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * PATIENT):
            await test()

    asyncio.run(bounded())


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENT):
        while not await holds():
            await asyncio.sleep(0.01)


class Device:
    """Serves what it is assigned; does only what a test asks of it."""

    def __init__(self, channel: grpc.aio.Channel, name: str, **hello: Any) -> None:
        self.hello = nonn_pb2.Hello(
            **{"device_id": name, "name": name, "protocol_version": PROTOCOL_VERSION, **hello}
        )
        self.stub = nonn_pb2_grpc.ClusterStub(channel)
        self.call = self.stub.Join()
        self.assigned: list[nonn_pb2.AssignedStudent] = []
        self.bundle_id = ""
        self.works: asyncio.Queue[nonn_pb2.Work] = asyncio.Queue()
        self.answering = True

    async def say(self, **message: Any) -> None:
        await self.call.write(nonn_pb2.DeviceMessage(**message))

    async def join(self) -> nonn_pb2.Welcome:
        await self.say(hello=self.hello)
        message = await self.call.read()
        return message.welcome

    async def live(self) -> None:
        """Until the stream ends; raises AioRpcError when the aggregator ends it."""
        while (message := await self.call.read()) is not grpc.aio.EOF:
            match message.WhichOneof("kind"):
                case "ping":
                    await self.say(pong=nonn_pb2.Pong(sequence=message.ping.sequence))
                case "assignment":
                    self.assigned = list(message.assignment.students)
                    self.bundle_id = message.assignment.bundle_id
                    for student in self.assigned:
                        await self.ready(student.student)
                case "work":
                    self.works.put_nowait(message.work)
                    if self.answering:
                        await self.answer(message.work)

    async def ready(self, student: int) -> None:
        await self.say(ready=nonn_pb2.Ready(bundle_id=self.bundle_id, student=student, self_test_passed=True))

    async def answer(self, work: nonn_pb2.Work) -> None:
        images = tensors.decode(work.images, nonn_pb2.UINT8, 4)
        for student in self.assigned:
            logits = tensors.encode(compute(images, student.student))
            partial = nonn_pb2.Partial(
                bundle_id=work.bundle_id, work_id=work.work_id, student=student.student, logits=logits
            )
            await self.say(partial=partial)


class Cluster:
    """An aggregator, and what connects to it; a channel for each peer, as from different machines."""

    def __init__(self, aggregator: Aggregator, stack: contextlib.AsyncExitStack) -> None:
        self.aggregator = aggregator
        self.stack = stack

    async def channel(self) -> grpc.aio.Channel:
        options = [("grpc.use_local_subchannel_pool", 1)]
        return await self.stack.enter_async_context(
            grpc.aio.insecure_channel(self.aggregator.address, options=options)
        )

    async def client(self) -> nonn_pb2_grpc.InferenceStub:
        return nonn_pb2_grpc.InferenceStub(await self.channel())

    async def device(self, name: str, **hello: Any) -> Device:
        """Joined, and living in the background."""
        device = Device(await self.channel(), name, **hello)
        await device.join()
        life = asyncio.create_task(device.live())
        self.stack.push_async_callback(end, life)
        return device

    async def status(self) -> nonn_pb2.StatusResponse:
        return await (await self.client()).Status(nonn_pb2.StatusRequest())

    async def served(self, count: int) -> None:
        """Wait until so many students are served."""
        client = await self.client()

        async def holds() -> bool:
            status = await client.Status(nonn_pb2.StatusRequest())
            return sum(bool(student.device_ids) for student in status.students) == count

        await until(holds)

    async def gone(self, name: str) -> None:
        async def holds() -> bool:
            return all(device.device_id != name for device in (await self.status()).devices)

        await until(holds)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await task


@contextlib.asynccontextmanager
async def serving(bundle: Bundle, settings: Settings = QUICK, devices: int = 0) -> AsyncIterator[Cluster]:
    async with (
        contextlib.AsyncExitStack() as stack,
        Aggregator(bundle, settings, listen="127.0.0.1:0") as aggregator,
    ):
        cluster = Cluster(aggregator, stack)
        for number in range(devices):
            await cluster.device(f"d{number}")
        if devices:
            await cluster.served(4)
        yield cluster


def images(count: int = 1) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def request(array: np.ndarray, **fields: Any) -> nonn_pb2.PredictRequest:
    return nonn_pb2.PredictRequest(images=tensors.encode(array), **fields)


async def refusal(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert "\n" not in (caught.value.details() or "")
    return caught.value


def test_devices_serve_and_clients_are_answered(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle, devices=2) as cluster:
            client = await cluster.client()
            answer = await client.Predict(request(images(3)), timeout=PATIENT)
            expected = bundle.merger.merge({s: compute(images(3), s) for s in range(4)})
            logits = tensors.decode(answer.logits, nonn_pb2.FLOAT32, 2)
            np.testing.assert_allclose(logits, expected, rtol=1e-6)
            assert (list(answer.answered), list(answer.missing)) == ([0, 1, 2, 3], [])
            assert not answer.degraded
            assert answer.bundle_id == bundle.manifest.id
            assert answer.expected_accuracy == pytest.approx(0.9)

    run(test)


def test_a_device_is_told_all_that_it_needs(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            device = Device(await cluster.channel(), "d")
            welcome = await device.join()
            assert (welcome.protocol_version, welcome.window) == (PROTOCOL_VERSION, QUICK.window)
            assert welcome.ping_seconds == QUICK.ping
            assignment = (await device.call.read()).assignment
            assert assignment.bundle_id == bundle.manifest.id
            (student,) = assignment.students
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


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (tensors.encode(np.zeros((1, 5, 4, 1), np.uint8)), "found uint8 [1, 5, 4, 1]"),
        (tensors.encode(np.zeros((1, *SHAPE), np.float32)), "found float32"),
        (tensors.encode(np.zeros((0, *SHAPE), np.uint8)), "at least 1"),
        (tensors.encode(np.zeros((65, *SHAPE), np.uint8)), "at most 64"),
        (nonn_pb2.Tensor(), "no data type"),
        (nonn_pb2.Tensor(type=nonn_pb2.UINT8, shape=[1, *SHAPE], data=b"123"), "3 bytes"),
        (nonn_pb2.Tensor(type=7, shape=[1], data=b"1"), "no proper tensor"),  # type: ignore[arg-type]
    ],
    ids=["shape", "dtype", "none", "too many", "empty", "truncated", "unknown type"],
)
def test_images_that_do_not_fit_are_an_invalid_argument(bundle: Bundle, tensor: Any, says: str) -> None:
    async def test() -> None:
        async with serving(bundle, devices=1) as cluster:
            client = await cluster.client()
            error = await refusal(client.Predict(nonn_pb2.PredictRequest(images=tensor), timeout=PATIENT))
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert says in (error.details() or "")

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


def test_no_device_is_unavailable_and_strict_wants_all(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            client = await cluster.client()
            error = await refusal(client.Predict(request(images()), timeout=PATIENT))
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            await cluster.device("small", memory_bytes=ONE_STUDENT)
            await cluster.served(1)
            strict = client.Predict(request(images(), strict=True), timeout=PATIENT)
            assert (await refusal(strict)).code() is grpc.StatusCode.FAILED_PRECONDITION
            assert (await client.Predict(request(images()), timeout=PATIENT)).degraded
            other = client.Predict(request(images(), bundle_id="other"), timeout=PATIENT)
            assert (await refusal(other)).code() is grpc.StatusCode.FAILED_PRECONDITION

    run(test)


def test_a_deadline_brings_what_has_arrived(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            slow, fast = await cluster.device("slow"), await cluster.device("fast")
            await cluster.served(4)
            slow.answering = False
            client = await cluster.client()
            answer = await client.Predict(request(images()), timeout=1.0)
            assert list(answer.answered) == sorted(student.student for student in fast.assigned)

    run(test)


def test_a_full_queue_says_when_to_come_back(bundle: Bundle) -> None:
    async def test() -> None:
        settings = Settings(ping=0.05, settle=0.05, window=1, queue=1)
        async with serving(bundle, settings) as cluster:
            device = await cluster.device("d")
            await cluster.served(4)
            device.answering = False
            client = await cluster.client()
            calls = [client.Predict(request(images()), timeout=PATIENT)]
            work = await device.works.get()
            calls += [client.Predict(request(images()), timeout=PATIENT) for _ in range(2)]
            done, _ = await asyncio.wait(
                [asyncio.ensure_future(call) for call in calls], return_when=asyncio.FIRST_COMPLETED
            )
            error = await refusal(done.pop())
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            metadata = dict(error.trailing_metadata())
            assert int(metadata["retry-after-ms"]) >= 1
            device.answering = True
            await device.answer(work)

    run(test)


def test_a_client_that_gives_up_takes_its_request_back(bundle: Bundle) -> None:
    async def test() -> None:
        settings = Settings(ping=0.05, settle=0.05, window=1, queue=1)
        async with serving(bundle, settings) as cluster:
            device = await cluster.device("d")
            await cluster.served(4)
            device.answering = False
            client = await cluster.client()
            first = asyncio.ensure_future(client.Predict(request(images()), timeout=PATIENT))
            work = await device.works.get()
            for _ in range(5):  # each takes the one place in the queue, and gives it back
                waiting = client.Predict(request(images()), timeout=0.05)
                code = (await refusal(waiting)).code()
                assert code is grpc.StatusCode.DEADLINE_EXCEEDED
            await device.answer(work)
            assert not (await first).degraded

    run(test)


def test_a_device_that_reads_nothing_holds_up_no_one(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its stream is full of works that it does not read; the other device's is not."""
    monkeypatch.setattr(link, "OUTGOING", 16)

    async def test() -> None:
        settings = Settings(ping=0.05, settle=0.05, window=8, max_batch=100_000, misses=1000)
        async with serving(bundle, settings) as cluster:
            options = [("grpc.http2.lookahead_bytes", 1024), ("grpc.use_local_subchannel_pool", 1)]
            channel = await cluster.stack.enter_async_context(
                grpc.aio.insecure_channel(cluster.aggregator.address, options=options)
            )
            deaf = Device(channel, "deaf", memory_bytes=ONE_STUDENT)
            await deaf.join()
            assigned = (await deaf.call.read()).assignment
            deaf.bundle_id = assigned.bundle_id
            await deaf.ready(assigned.students[0].student)
            good = await cluster.device("good")
            await cluster.served(4)
            client = await cluster.client()

            async def cut_off() -> bool:
                answer = await client.Predict(request(images(100_000)), timeout=0.5)
                assert list(answer.answered) == [student.student for student in good.assigned]
                return all(device.device_id != "deaf" for device in (await cluster.status()).devices)

            await until(cut_off)

    run(test)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


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
            await asyncio.wait(streams[:20])
        await asyncio.wait(streams)

    run(test)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_closing_finishes_what_is_open(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            device = await cluster.device("d")
            await cluster.served(4)
            device.answering = False
            client = await cluster.client()
            open_call = asyncio.ensure_future(client.Predict(request(images()), timeout=PATIENT))
            work = await device.works.get()
            closing = asyncio.create_task(cluster.aggregator.__aexit__(None, None, None))

            async def refused() -> bool:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await client.Predict(request(images()), timeout=1.0)
                    return False
                return True

            await until(refused)
            assert not open_call.done()
            await device.answer(work)
            assert not (await open_call).degraded
            await closing

    run(test)


def test_a_port_in_use_is_an_error(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            with pytest.raises(ListenError, match="in use") as caught:
                async with Aggregator(bundle, listen=cluster.aggregator.address):
                    pass
            assert caught.value.exit_code == 9
            assert "\n" not in str(caught.value)

    run(test)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "192.0.2.7:7560", "[::]:0", "example.org:80"])
def test_other_machines_are_let_in_only_when_that_is_said(bundle: Bundle, listen: str) -> None:
    with pytest.raises(SettingsError, match="--insecure"):
        Aggregator(bundle, listen=listen)
    Aggregator(bundle, listen=listen, insecure=True)


@pytest.mark.parametrize(
    "listen", ["", "7560", "localhost", "localhost:", ":7560", "localhost:x", "[::1]:70000"]
)
def test_an_address_is_host_and_port(bundle: Bundle, listen: str) -> None:
    with pytest.raises(SettingsError, match=r"HOST:PORT|port must be"):
        Aggregator(bundle, listen=listen)


def test_an_address_of_another_machine_cannot_be_had(bundle: Bundle) -> None:
    async def test() -> None:
        with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.7:7560"):
            async with Aggregator(bundle, listen="192.0.2.7:7560", insecure=True):
                pass

    run(test)


def test_a_batch_must_fit_into_a_message(bundle: Bundle) -> None:
    with pytest.raises(SettingsError, match="largest batch is"):
        Aggregator(bundle, Settings(max_batch=10**8))


@pytest.mark.parametrize(
    "wrong", [{"window": 0}, {"ping": 0.0}, {"heal": -1.0}, {"default_deadline": float("nan")}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Settings(**wrong)


def test_nothing_is_left_behind(bundle: Bundle) -> None:
    async def test() -> None:
        before = asyncio.all_tasks()
        async with serving(bundle, devices=2) as cluster:
            client = await cluster.client()
            await client.Predict(request(images()), timeout=PATIENT)
        left = [task for task in asyncio.all_tasks() - before if "aggregator" in repr(task.get_coro())]
        assert not left

    run(test)
