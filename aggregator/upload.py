"""A bundle that comes over the network: kept in memory, never on disk, and believed only as a whole."""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc

from aggregator import wire
from aggregator.receive import read_within
from bundle import Bundle, BundleError
from bundle.document import read_manifest_json
from bundle.manifest import Manifest
from protos import nonn_pb2

# What one upload may take of the aggregator's memory.
LARGEST_BUNDLE = 1 << 30
# Seconds: an operator who sends nothing for so long has gone, and an upload that takes so long has no end.
SILENCE = 15.0
LONGEST_UPLOAD = 600.0


class Upload:
    """Takes messages until the bundle is complete. Raises BundleError for whatever does not belong to it."""

    def __init__(self) -> None:
        self._document = b""
        self._sizes: Mapping[str, int] = {}
        self._pieces: dict[str, bytearray] = {}

    @property
    def complete(self) -> bool:
        return bool(self._document) and all(
            len(self._pieces[sha256]) == size for sha256, size in self._sizes.items()
        )

    def take(self, message: nonn_pb2.ReloadRequest) -> None:
        match message.WhichOneof("kind"):
            case "manifest" if not self._document:
                self._begin(message.manifest)
            case "piece" if self._document:
                self._add(message.piece)
            case _:
                raise BundleError("an upload is one manifest, and then pieces of the files that it names")

    def bundle(self) -> Bundle:
        """The verified bundle. Takes a while for a large one."""
        if not self.complete:
            raise BundleError("the upload ended before all files of the bundle were there")
        return Bundle.received(self._document, {name: bytes(data) for name, data in self._pieces.items()})

    def _begin(self, document: bytes) -> None:
        manifest = _manifest(document)
        self._sizes = {entry.sha256: entry.bytes for entry in manifest.files.values()}
        if any(self._sizes[entry.sha256] != entry.bytes for entry in manifest.files.values()):
            raise BundleError("manifest.json: two files of one digest and different sizes")
        if sum(self._sizes.values()) > LARGEST_BUNDLE:
            raise BundleError(f"the bundle is larger than {LARGEST_BUNDLE >> 20} MB")
        self._document = document
        self._pieces = {sha256: bytearray() for sha256 in self._sizes}

    def _add(self, piece: nonn_pb2.FilePiece) -> None:
        size, data = self._sizes.get(piece.sha256), self._pieces.get(piece.sha256)
        if size is None or data is None:
            raise BundleError("a piece of a file that the manifest does not name")
        if not piece.data:
            raise BundleError("an empty piece")
        if len(data) + len(piece.data) > size:
            raise BundleError(f"file {piece.sha256[:12]} is longer than the manifest says")
        data += piece.data


def _manifest(document: bytes) -> Manifest:
    try:
        return read_manifest_json(document)
    except ValueError as error:
        raise BundleError(f"manifest.json: {error}") from None


async def receive_bundle(context: Any) -> Bundle:
    """All messages of a Reload call -> the verified bundle. Raises BundleError, InputError."""
    upload = Upload()
    clock = asyncio.get_running_loop().time
    end = clock() + LONGEST_UPLOAD
    try:
        while True:
            message = await read_within(context, min(SILENCE, max(end - clock(), 0.0)))
            if message is grpc.aio.EOF:
                return await asyncio.to_thread(upload.bundle)
            upload.take(wire.parse(nonn_pb2.ReloadRequest, message))
    except TimeoutError:
        raise BundleError(
            f"nothing more of the bundle came for {SILENCE:g} s, or not all of it within {LONGEST_UPLOAD:g} s"
        ) from None
