"""Predict over real gRPC: answers, refusals, deadlines, and closing in the middle of it."""

import asyncio
import contextlib
from typing import Any

import grpc
import numpy as np
import pytest

from aggregator import Settings
from bundle import Bundle
from protos import nonn_pb2, tensors
from tests.aggregator.scripted import (
    ONE_STUDENT,
    PATIENT,
    SHAPE,
    compute,
    images,
    refusal,
    request,
    run,
    serving,
    until,
)


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
        settings = Settings(ping=0.05, settle=0.05, margin=1.0)
        async with serving(bundle, settings) as cluster:
            slow, fast = await cluster.device("slow"), await cluster.device("fast")
            await cluster.served(4)
            slow.answering = False
            client = await cluster.client()
            answer = await client.Predict(request(images()), timeout=2.0)
            assert list(answer.answered) == sorted(student.student for student in fast.assigned)

    run(test)


def test_a_call_without_a_deadline_gets_the_default(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle, Settings(settle=0.05, default_deadline=0.2)) as cluster:
            device = await cluster.device("d")
            await cluster.served(4)
            device.answering = False
            error = await refusal((await cluster.client()).Predict(request(images())))
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "no student answered" in (error.details() or "")

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


def test_nothing_is_left_behind(bundle: Bundle) -> None:
    async def test() -> None:
        before = asyncio.all_tasks()
        async with serving(bundle, devices=2) as cluster:
            client = await cluster.client()
            await client.Predict(request(images()), timeout=PATIENT)
        left = [task for task in asyncio.all_tasks() - before if "aggregator" in repr(task.get_coro())]
        assert not left

    run(test)


def test_a_burst_of_one_client_is_answered_to_the_last_request(bundle: Bundle) -> None:
    """Also when it begins with the connection, which has not heard yet how many calls it may have at once."""

    async def test() -> None:
        async with serving(bundle, devices=1) as cluster:
            for _ in range(3):
                client = await cluster.client()
                whole = request(images(), strict=True)
                calls = [client.Predict(whole, timeout=PATIENT) for _ in range(400)]
                assert not any(answer.degraded for answer in await asyncio.gather(*calls))

    run(test)
