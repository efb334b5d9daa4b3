"""The clients against a real cluster, and against aggregators that misbehave."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import nonn
from bundle import Bundle, InputError
from nonn import Answer, AsyncClient, Client
from nonn.errors import ClusterUnreachable, RequestRefused, UsageError
from protos import REFUSED_KEY, nonn_pb2, tensors
from tests.end_to_end.offline import Offline
from tests.end_to_end.small_bundle import random_images
from tests.nonn.serving import WAIT, Scripted, Served, served

LABELS = ["cat", "dog", "eel"]


def a_status(bundle: str = "b1", labels: list[str] = LABELS) -> nonn_pb2.StatusResponse:
    return nonn_pb2.StatusResponse(bundle_id=bundle, input_shape=[2, 2, 1], labels=labels)


def an_answer(rows: int = 1, bundle: str = "b1", classes: int = 3) -> nonn_pb2.PredictResponse:
    logits = np.eye(rows, classes, dtype=np.float32)
    return nonn_pb2.PredictResponse(
        logits=tensors.encode(logits), bundle_id=bundle, answered=[0], missing=[1], degraded=True
    )


def test_the_face_is_what_is_meant() -> None:
    assert set(nonn.__all__) == {"Answer", "AsyncClient", "Client", "__version__", "errors"}
    assert set(nonn.__all__) <= set(dir(nonn))
    for name in nonn.__all__:
        assert getattr(nonn, name)
    with pytest.raises(AttributeError, match="nothing"):
        nonn.nothing  # noqa: B018


def test_an_answer_is_the_offline_merge(cluster: Served, bundle: Bundle) -> None:
    offline, images = Offline(bundle), random_images(7, seed=1)
    with Client(cluster.address) as client:
        answer = client.predict(images, deadline=WAIT, strict=True)
        assert answer.answered == tuple(range(8))
        offline.check(answer, images)
        offline.check(client.predict(images[0], deadline=WAIT), images[:1])  # [H, W, C]
        offline.check(client.predict(images[0, :, :, 0], deadline=WAIT), images[:1])  # [H, W]
        offline.check(client.predict(images[::-2], deadline=WAIT, bundle=bundle.manifest.id), images[::-2])


def test_one_client_serves_many_threads(cluster: Served, bundle: Bundle) -> None:
    offline = Offline(bundle)

    def ask(seed: int) -> tuple[Any, Answer]:
        images = random_images(1 + seed % 3, seed)
        return images, client.predict(images, deadline=WAIT)

    with Client(cluster.address) as client, ThreadPoolExecutor(8) as pool:
        for images, answer in pool.map(ask, range(60)):
            offline.check(answer, images)


def test_the_asyncio_twin(cluster: Served, bundle: Bundle) -> None:
    offline = Offline(bundle)
    batches = [random_images(2, seed) for seed in range(20)]

    async def ask() -> list[Answer]:
        async with AsyncClient(cluster.address) as client:
            assert (await client.status(deadline=WAIT)).bundle == bundle.manifest.id
            return await asyncio.gather(*(client.predict(batch, deadline=WAIT) for batch in batches))

    for batch, answer in zip(batches, asyncio.run(ask()), strict=True):
        offline.check(answer, batch)


def test_status(cluster: Served, bundle: Bundle) -> None:
    with Client(cluster.address) as client:
        status = client.status(deadline=WAIT)
    assert (status.bundle_name, status.bundle) == ("small", bundle.manifest.id)
    assert status.input == bundle.manifest.input
    assert status.labels == bundle.manifest.labels
    assert [student.part for student in status.students] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert {device.name: device.state for device in status.devices} == {
        "device-0": "serving",
        "device-1": "serving",
    }
    assert sorted(student for device in status.devices for student in device.serving) == list(range(8))


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (np.zeros((1, 8, 8, 1), np.float32), "must be uint8, 0 to 255, not normalised; found float32; if"),
        (np.zeros((1, 8, 8, 1), np.int64), "found int64"),
        ([[1, 2], [3]], "all of one shape"),
        (np.zeros((1, 8, 9, 1), np.uint8), r"\[N, 8, 8, 1\]"),
        (np.zeros((0, 8, 8, 1), np.uint8), "at least 1"),
        (np.zeros((8,), np.uint8), r"\[N, 8, 8, 1\]"),
    ],
)
def test_images_are_checked_before_they_are_sent(cluster: Served, images: Any, complaint: str) -> None:
    with Client(cluster.address) as client:
        before = client.status(deadline=WAIT)
        with pytest.raises(InputError, match=complaint) as raised:
            client.predict(images, deadline=WAIT)
        assert raised.value.exit_code == 4
        assert client.status(deadline=WAIT).refused == before.refused


def test_more_images_than_a_message_holds(cluster: Served) -> None:
    with (
        Client(cluster.address) as client,
        pytest.raises(InputError, match="too many images for one request"),
    ):
        client.predict(random_images(200_000, seed=1), deadline=WAIT)


def test_another_bundle_is_refused(cluster: Served) -> None:
    with Client(cluster.address) as client, pytest.raises(RequestRefused) as refusal:
        client.predict(random_images(1, 0), deadline=WAIT, bundle="f" * 64)
    assert (refusal.value.code, refusal.value.exit_code) == ("FAILED_PRECONDITION", 11)


def test_nobody_serves(bundle: Bundle, tmp_path: Path) -> None:
    with served(bundle, tmp_path, devices=1) as cluster, Client(cluster.address) as client:
        assert not client.predict(random_images(1, 0), deadline=WAIT).degraded
        cluster.stop_devices()
        with pytest.raises(RequestRefused, match="no device") as refusal:
            client.predict(random_images(1, 0), deadline=WAIT)
        assert refusal.value.code == "UNAVAILABLE"
        assert client.status(deadline=WAIT).devices == ()


@pytest.mark.parametrize("deadline", [0, -1, float("nan"), float("inf")])
def test_a_deadline_is_a_positive_number(deadline: float) -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(ValueError, match="deadline"):
        client.status(deadline=deadline)


def test_nobody_listens() -> None:
    with (
        Client("127.0.0.1:1") as client,
        pytest.raises(ClusterUnreachable, match=r"127\.0\.0\.1:1") as raised,
    ):
        client.predict(np.zeros((2, 2), np.uint8), deadline=WAIT)
    assert raised.value.exit_code == 10


def test_somebody_listens_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with Client(address) as client, pytest.raises(ClusterUnreachable, match=r"said nothing for 0\.2 s"):
            client.status(deadline=0.2)


@pytest.mark.parametrize("address", ["", "pi", "pi:x", "10.0.0.1:7560"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_addresses_are_checked(kind: Any, address: str) -> None:
    with pytest.raises(UsageError):
        kind(address)


def test_a_retry_hint_is_passed_on(scripted: Scripted) -> None:
    def full(request: Any, context: grpc.ServicerContext) -> nonn_pb2.PredictResponse:
        context.set_trailing_metadata(((REFUSED_KEY, "1"), ("retry-after-ms", "120")))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")

    scripted.status, scripted.predict = a_status, full
    with Client(scripted.address) as client, pytest.raises(RequestRefused, match="queue is full") as refusal:
        client.predict(np.zeros((2, 2), np.uint8), deadline=WAIT)
    assert (refusal.value.code, refusal.value.retry_after) == ("RESOURCE_EXHAUSTED", 0.12)


def test_a_refused_deadline_is_not_silence(scripted: Scripted) -> None:
    def late(request: Any, context: grpc.ServicerContext) -> nonn_pb2.PredictResponse:
        context.set_trailing_metadata(((REFUSED_KEY, "1"),))
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no student answered in time")

    scripted.status, scripted.predict = a_status, late
    with Client(scripted.address) as client, pytest.raises(RequestRefused, match="no student") as refusal:
        client.predict(np.zeros((2, 2), np.uint8), deadline=WAIT)
    assert refusal.value.code == "DEADLINE_EXCEEDED"


def test_the_deadline_is_always_sent(scripted: Scripted) -> None:
    remaining: list[float] = []

    def note(request: Any, context: grpc.ServicerContext) -> nonn_pb2.PredictResponse:
        remaining.append(context.time_remaining())
        return an_answer()

    scripted.status, scripted.predict = a_status, note
    with Client(scripted.address) as client:
        client.predict(np.zeros((2, 2), np.uint8), deadline=20)
        client.predict(np.zeros((2, 2), np.uint8))
    assert 3 < remaining[0] < 21  # gRPC rounds up on the wire
    assert 0 < remaining[1] < 3
    assert scripted.asked == {"Predict": 2, "Status": 1}


@pytest.mark.parametrize(
    "answer", [an_answer(2), an_answer(classes=4), nonn_pb2.PredictResponse(bundle_id="b1")]
)
def test_an_answer_that_makes_no_sense(scripted: Scripted, answer: nonn_pb2.PredictResponse) -> None:
    scripted.status, scripted.predict = a_status, lambda request, context: answer
    with (
        Client(scripted.address) as client,
        pytest.raises(RequestRefused, match="no valid answer") as refusal,
    ):
        client.predict(np.zeros((2, 2), np.uint8), deadline=WAIT)
    assert refusal.value.code == "INTERNAL"


def test_a_status_that_makes_no_sense(scripted: Scripted) -> None:
    with Client(scripted.address) as client, pytest.raises(RequestRefused, match="no valid answer"):
        client.status(deadline=WAIT)


def test_labels_follow_the_bundle(scripted: Scripted) -> None:
    """The cluster loads another bundle between two requests: names come from the one that answered."""
    scripted.status, scripted.predict = a_status, lambda request, context: an_answer()
    image = np.zeros((2, 2), np.uint8)
    with Client(scripted.address) as client:
        assert client.predict(image, deadline=WAIT).labels == ("cat",)
        scripted.status = lambda: a_status("b2", ["ant", "bee", "cow"])
        scripted.predict = lambda request, context: an_answer(bundle="b2")
        assert client.predict(image, deadline=WAIT).labels == ("ant",)
        scripted.predict = lambda request, context: an_answer(bundle="b3")
        with pytest.raises(RequestRefused, match="ask again"):
            client.predict(image, deadline=WAIT)


def test_a_server_of_another_kind(scripted: Scripted) -> None:
    def unknown(request: Any, context: grpc.ServicerContext) -> nonn_pb2.PredictResponse:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

    scripted.status, scripted.predict = a_status, unknown
    with Client(scripted.address) as client, pytest.raises(RequestRefused, match="no NoNN aggregator"):
        client.predict(np.zeros((2, 2), np.uint8), deadline=WAIT)


def test_an_aggregator_that_dies_while_it_is_asked(scripted: Scripted) -> None:
    reached = threading.Event()

    def hang(request: Any, context: grpc.ServicerContext) -> nonn_pb2.PredictResponse:
        reached.set()
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(WAIT)
        return an_answer()

    scripted.status, scripted.predict = a_status, hang
    with Client(scripted.address) as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.predict, np.zeros((2, 2), np.uint8), deadline=WAIT)
        assert reached.wait(WAIT)
        scripted.close()
        with pytest.raises(ClusterUnreachable):
            asked.result(WAIT)
