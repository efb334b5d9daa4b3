"""A bundle that arrives in pieces is believed only when all of it fits."""

import dataclasses
import json
from collections.abc import Callable

import pytest

from aggregator.upload import Upload
from bundle import Bundle, BundleError
from bundle.document import manifest_id
from nonn.exchange import read_pieces
from protos import nonn_pb2

Messages = list[nonn_pb2.ReloadRequest]


def received(messages: Messages) -> Bundle:
    upload = Upload()
    for message in messages:
        upload.take(message)
    return upload.bundle()


def test_what_is_sent_is_what_arrives(bundle: Bundle) -> None:
    found = received(list(read_pieces(bundle.path)))
    assert found.manifest == bundle.manifest
    for index in range(len(bundle.manifest.students)):
        assert found.student_bytes(index) == bundle.student_bytes(index)
    assert dataclasses.asdict(found.self_test).keys() == dataclasses.asdict(bundle.self_test).keys()


def _tamper(messages: Messages) -> Messages:
    last = messages[-1].piece
    changed = nonn_pb2.FilePiece(sha256=last.sha256, data=last.data[:-1] + bytes([last.data[-1] ^ 1]))
    return [*messages[:-1], nonn_pb2.ReloadRequest(piece=changed)]


def _stranger(messages: Messages) -> Messages:
    return [*messages, nonn_pb2.ReloadRequest(piece=nonn_pb2.FilePiece(sha256="0" * 64, data=b"x"))]


def _two_sizes(messages: Messages) -> Messages:
    manifest = json.loads(messages[0].manifest)
    first, second, *_ = manifest["files"].values()
    second |= {"sha256": first["sha256"], "bytes": first["bytes"] + 1}
    manifest["id"] = manifest_id(manifest)
    return [nonn_pb2.ReloadRequest(manifest=json.dumps(manifest).encode()), *messages[1:]]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda messages: messages[1:], "one manifest, and then"),
        (lambda messages: [messages[0], *messages], "one manifest, and then"),
        (lambda messages: messages[:-1], "ended before"),
        (lambda messages: [], "ended before"),
        (lambda messages: [*messages, messages[-1]], "longer than"),
        (lambda messages: [nonn_pb2.ReloadRequest()], "one manifest, and then"),
        (lambda messages: [nonn_pb2.ReloadRequest(manifest=b"{}")], r"manifest\.json"),
        (_tamper, "is not what its digest says"),
        (_two_sizes, "two files of one digest"),
        (_stranger, "does not name"),
    ],
)
def test_anything_else_is_refused(
    bundle: Bundle, spoil: Callable[[Messages], Messages], problem: str
) -> None:
    with pytest.raises(BundleError, match=problem):
        received(spoil(list(read_pieces(bundle.path))))
