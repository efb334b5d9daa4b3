"""Certificates and limits over real gRPC: who somebody is, what it may, and how much of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from aggregator import Aggregator, Settings, SettingsError, gate
from aggregator.conduct import MALFORMED
from bundle import Bundle
from protos import PROTOCOL_VERSION, nonn_pb2, nonn_pb2_grpc
from tests.aggregator.scripted import (
    PATIENT,
    QUICK,
    Device,
    dial,
    end,
    images,
    refusal,
    request,
    run,
    serving,
    until,
)
from tests.authority import Certificates


class Secured:
    """An aggregator with TLS, and channels to it for any certificate."""

    def __init__(self, address: str, certificates: Certificates, stack: contextlib.AsyncExitStack) -> None:
        self.certificates = certificates
        self._address = address
        self._stack = stack

    def folder(self, who: str) -> Path:
        return self.certificates.folder / who

    async def channel(self, who: str) -> grpc.aio.Channel:
        return await self._stack.enter_async_context(dial(self._address, self.folder(who)))

    async def device(self, who: str, claim: str) -> "asyncio.Task[None]":
        """The life of a device that says that it is `claim`."""
        device = Device(await self.channel(who), claim)
        await device.join()
        life = asyncio.create_task(device.live())
        self._stack.push_async_callback(end, life)
        return life

    async def devices(self) -> list[tuple[str, str]]:
        stub = nonn_pb2_grpc.InferenceStub(await self.channel("clients/laptop"))
        status = await stub.Status(nonn_pb2.StatusRequest())
        return sorted((device.device_id, device.name) for device in status.devices)


@contextlib.asynccontextmanager
async def secured(bundle: Bundle, tmp_path: Path) -> AsyncIterator[Secured]:
    certificates = Certificates(tmp_path / "certs")
    folder = certificates.aggregator()
    for name in ("kitchen", "shed"):
        certificates.device(name)
    certificates.client("laptop")
    certificates.operator("boss")
    async with (
        contextlib.AsyncExitStack() as stack,
        Aggregator(bundle, QUICK, listen="127.0.0.1:0", tls=folder) as aggregator,
    ):
        yield Secured(aggregator.address, certificates, stack)


async def until_over(call: Any) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass


def test_a_hello_that_lies_is_overruled(bundle: Bundle, tmp_path: Path) -> None:
    async def test() -> None:
        async with secured(bundle, tmp_path) as cluster:
            honest = await cluster.device("devices/shed", "shed")
            await cluster.device("devices/kitchen", "shed")
            assert await cluster.devices() == [("kitchen", "kitchen"), ("shed", "shed")]
            assert not honest.done()

    run(test)


def test_one_certificate_is_one_device_whatever_it_says(bundle: Bundle, tmp_path: Path) -> None:
    async def test() -> None:
        async with secured(bundle, tmp_path) as cluster:
            former = await cluster.device("devices/kitchen", "one")
            await cluster.device("devices/kitchen", "two")
            assert (await refusal(former)).code() is grpc.StatusCode.ABORTED
            assert await cluster.devices() == [("kitchen", "kitchen")]

    run(test)


MAY = {
    "Cluster/Join": {"devices/shed"},
    "Cluster/FetchStudent": {"devices/shed"},
    "Inference/Predict": {"clients/laptop", "operators/boss"},
    "Inference/Status": {"devices/shed", "clients/laptop", "operators/boss", "aggregator"},
    "Operation/Reload": {"operators/boss"},
}


def test_each_call_is_for_its_roles(bundle: Bundle, tmp_path: Path) -> None:
    async def test() -> None:
        async with secured(bundle, tmp_path) as cluster:
            for who in MAY["Inference/Status"]:
                channel = await cluster.channel(who)
                for method, allowed in MAY.items():
                    nonsense = channel.unary_unary(f"/nonn.v1.{method}")(b"\xff\xff")
                    try:
                        await nonsense  # but a request for the status cannot be wrong
                    except grpc.aio.AioRpcError as error:
                        denied = error.code() is grpc.StatusCode.PERMISSION_DENIED
                    else:
                        denied = False
                    assert denied == (who not in allowed), (method, who)

    run(test)


def test_revoking_ends_a_stream_and_no_other(bundle: Bundle, tmp_path: Path) -> None:
    async def test() -> None:
        async with secured(bundle, tmp_path) as cluster:
            kitchen = await cluster.device("devices/kitchen", "kitchen")
            shed = await cluster.device("devices/shed", "shed")
            cluster.certificates.revoke("kitchen")
            error = await refusal(kitchen)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "revoked" in (error.details() or "")
            call = (await cluster.channel("devices/kitchen")).stream_stream("/nonn.v1.Cluster/Join")()
            assert (await refusal(call.read())).code() is grpc.StatusCode.UNAUTHENTICATED
            assert await cluster.devices() == [("shed", "shed")]
            assert not shed.done()

    run(test)


def test_tls_and_plain_text_exclude_each_other(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="exclude each other"):
        Aggregator(bundle, insecure=True, tls=tmp_path)
    Aggregator(bundle, listen="0.0.0.0:0", tls=Certificates(tmp_path / "certs").aggregator())


# ---- limits, which hold in plain text as well


def test_a_device_is_shut_out_for_one_message_that_is_too_large(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle, devices=1) as cluster:
            device = Device(await cluster.channel(), "enemy")
            await device.join()
            await device.say(partial=nonn_pb2.Partial(logits=nonn_pb2.Tensor(data=bytes(200_000))))
            await until_over(device.call)
            assert await device.call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            again = Device(await cluster.channel(), "enemy")
            await again.say(hello=again.hello)
            error = await refusal(again.call.read())
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "shut out for a while" in (error.details() or "")
            await cluster.gone("enemy")
            await cluster.served(4)

    run(test)


def test_a_device_is_shut_out_for_nonsense_again_and_again(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            call = (await cluster.channel()).stream_stream("/nonn.v1.Cluster/Join")()
            hello = nonn_pb2.Hello(device_id="x", name="x", protocol_version=PROTOCOL_VERSION)
            await call.write(nonn_pb2.DeviceMessage(hello=hello).SerializeToString())
            for _ in range(int(MALFORMED) + 1):
                await call.write(b"\xff\xff\xff")
            await until_over(call)
            assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await cluster.status()).dropped_messages == MALFORMED + 1

    run(test)


def test_a_client_with_too_much_under_way_is_told_when_to_come_back(bundle: Bundle) -> None:
    async def test() -> None:
        settings = Settings(ping=0.05, settle=0.05, queue=40)  # hence 20 of one client
        async with serving(bundle, settings) as cluster:
            device = await cluster.device("d")
            await cluster.served(4)
            device.answering = False
            client = await cluster.client()
            calls = [
                asyncio.ensure_future(client.Predict(request(images()), timeout=PATIENT)) for _ in range(30)
            ]

            async def ten_are_refused() -> bool:
                return sum(call.done() for call in calls) == 10

            await until(ten_are_refused)
            for call in (call for call in calls if call.done()):
                error = await refusal(call)
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert dict(error.trailing_metadata() or ())["retry-after-ms"] == "100"
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)

    run(test)


def test_a_request_has_to_arrive(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "RECEIVE_LOOKS", 2)
    monkeypatch.setattr(gate, "LOOK_SECONDS", 0.1)

    async def test() -> None:
        async with serving(bundle) as cluster:
            predict = (await cluster.channel()).stream_stream("/nonn.v1.Inference/Predict")
            silent = predict()
            await until_over(silent)
            assert await silent.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            empty = predict()
            await empty.done_writing()
            await until_over(empty)
            assert await empty.code() is grpc.StatusCode.INVALID_ARGUMENT

    run(test)


def test_requests_that_make_no_sense_are_looked_at_only_so_often(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle, devices=1) as cluster:
            predict = (await cluster.channel()).unary_unary("/nonn.v1.Inference/Predict")
            codes = [(await refusal(predict(b"\xff"))).code().name for _ in range(40)]
            assert codes[0] == "INVALID_ARGUMENT"
            assert codes[-1] == "RESOURCE_EXHAUSTED"
            client = await cluster.client()
            assert not (await client.Predict(request(images()), timeout=PATIENT)).degraded

    run(test)
