"""What a client and a cluster say to one another, without the saying: both clients drive these steps."""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import grpc
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundle import InputError, InputSpec, read_files
from nonn.cluster_status import ClusterStatus, read_status
from nonn.errors import CertificateError, ClusterUnreachable, NonnError, RequestRefused, UsageError
from protos import REFUSED_KEY, credentials, endpoints, handshake, nonn_pb2, policies, tensors
from protos.credentials import Credentials

CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),  # a proxy meant for the web would break a cluster
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),  # an aggregator that is back is noticed soon
    ("grpc.max_reconnect_backoff_ms", 1000),
)


# Bytes of a file that go in one message of an upload.
_PIECE: Final = 256 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a cluster answered for N images.

    logits: float32 [N, classes]. labels: the most likely class's name, for each image. answered, missing: the
    students whose partial logits are in the logits, and the others. degraded: some student is missing.
    expected_accuracy: of exactly these students on the bundle's validation images, 0 to 1. bundle: its id.
    """

    logits: NDArray[np.float32]
    labels: tuple[str, ...]
    answered: tuple[int, ...]
    missing: tuple[int, ...]
    degraded: bool
    expected_accuracy: float
    bundle: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The cluster serves `bundle` now instead of `previous` (their ids), with so many devices."""

    bundle: str
    previous: str
    devices: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that the driver makes; what comes back is sent into the steps."""

    method: Literal["Predict", "Status", "Reload"]
    request: Any


class Exchange:
    """One cluster's address, and what it said about its bundle. For any number of threads."""

    def __init__(self, address: str, *, insecure: bool, tls: Path | str | None) -> None:
        """Raises UsageError for an address that is none, or elsewhere without `insecure` or `tls`.

        CertificateError for a folder that is not what `nonn certs` makes.
        """
        if insecure and tls is not None:
            raise UsageError("TLS and insecure exclude each other: name the folder of certificates alone")
        try:
            endpoints.check_dialled(address, insecure=insecure, tls=tls is not None)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self.address = address
        self.credentials = None if tls is None else _load(Path(tls))
        self._known: ClusterStatus | None = None  # frozen, and replaced as a whole

    def status(self) -> Generator[Ask, Any, ClusterStatus]:
        response = yield Ask("Status", nonn_pb2.StatusRequest())
        try:
            self._known = read_status(response)
        except ValueError as error:
            raise self._nonsense(error) from None
        return self._known

    def reload(self, bundle: Path) -> Generator[Ask, Any, Reloaded]:
        """Send the whole bundle; it is verified before anything is sent."""
        pieces = read_pieces(bundle)
        response = yield Ask("Reload", pieces)
        return Reloaded(response.bundle_id, response.previous_bundle_id, response.devices)

    def predict(
        self, images: ArrayLike, strict: bool, bundle: str, policy: str
    ) -> Generator[Ask, Any, Answer]:
        """Ask for labels and shape once for each bundle; images are checked before they are sent."""
        array = as_uint8(images)
        known = self._known or (yield from self.status())
        try:
            batch = as_batch(array, known.input)
        except InputError:
            known = yield from self.status()  # the cluster may serve another bundle by now
            batch = as_batch(array, known.input)
        request = nonn_pb2.PredictRequest(
            images=tensors.encode(batch), strict=strict, bundle_id=bundle, **read_policy(policy)
        )
        response = yield Ask("Predict", request)
        if response.bundle_id != known.bundle:
            known = yield from self.status()
        if response.bundle_id != known.bundle:
            raise RequestRefused("the cluster changed its bundle meanwhile: ask again", code="ABORTED")
        try:
            return _read_answer(response, known.labels, len(batch))
        except ValueError as error:
            raise self._nonsense(error) from None

    def explain(self, error: Any, ask: Ask, deadline: float) -> NonnError:
        """What a failed call means to the caller."""
        code, details = error.code(), " ".join((error.details() or "").split())
        metadata = dict(error.trailing_metadata() or ())
        if REFUSED_KEY not in metadata:
            if code is grpc.StatusCode.DEADLINE_EXCEEDED and ask.method == "Reload":
                return RequestRefused(
                    f"no outcome within {deadline:g} s: either not all of the bundle had been sent, and "
                    "nothing changes, or devices still load it, as `nonn status` shows; allow more time",
                    code=code.name,
                )
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                silence = f"the aggregator at {self.address} said nothing for {deadline:g} s"
                return ClusterUnreachable(f"{silence}: allow more time, or see whether it runs")
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                return self._unreachable(details.rpartition(": ")[2])
            if code is grpc.StatusCode.RESOURCE_EXHAUSTED:  # gRPC's own: the message was too long
                return InputError(f"too many images for one request ({details}): send fewer at a time")
            if code is grpc.StatusCode.UNIMPLEMENTED:
                details = f"what answers at {self.address} is no NoNN aggregator"
        elif code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return CertificateError(f"refused: {details}")
        retry = str(metadata.get("retry-after-ms", ""))
        seconds = int(retry) / 1000 if retry.isascii() and retry.isdigit() else None
        return RequestRefused(f"refused: {details}", code=code.name, retry_after=seconds)

    def _unreachable(self, reason: str) -> NonnError:
        """gRPC does not say what is wrong with a handshake: one more is tried, for a second at the most."""
        where = f"the aggregator at {self.address}"
        if self.credentials is not None:
            why = handshake.why_not(self.address, self.credentials.folder)
            if why is not None:
                return CertificateError(f"cannot talk to {where}: {why}")
        elif "closed" in reason.lower() and handshake.speaks_tls(self.address):
            return CertificateError(
                f"{where} wants TLS: name a folder of certificates with --tls DIR (tls=DIR)"
            )
        return ClusterUnreachable(f"cannot reach {where} ({reason}): start it, or check the address")

    def _nonsense(self, error: ValueError) -> RequestRefused:
        return RequestRefused(f"{self.address} sent no valid answer: {error}", code="INTERNAL")


def _load(folder: Path) -> Credentials:
    try:
        loaded = Credentials.load(folder)
        loaded.check_dates(credentials.now())
    except ValueError as error:
        raise CertificateError(str(error)) from None
    return loaded


def read_policy(text: str) -> dict[str, Any]:
    """`all`, `covered`, `quorum=N` or nothing -> fields of a PredictRequest. Raises UsageError."""
    if not text:
        return {}
    try:
        return policies.fields(*policies.parse(text))
    except ValueError as error:
        raise UsageError(str(error)) from None


def read_pieces(path: Path) -> Iterator[nonn_pb2.ReloadRequest]:
    """The messages of an upload. Raises BundleError or StorageError before the first."""
    manifest, files = read_files(path)

    def messages() -> Iterator[nonn_pb2.ReloadRequest]:
        yield nonn_pb2.ReloadRequest(manifest=manifest)
        for sha256, data in files.items():
            for start in range(0, len(data), _PIECE):
                piece = nonn_pb2.FilePiece(sha256=sha256, data=data[start : start + _PIECE])
                yield nonn_pb2.ReloadRequest(piece=piece)

    return messages()


def check_deadline(seconds: float) -> float:
    """ValueError unless it is a positive, finite number."""
    if not 0 < seconds < math.inf:
        raise ValueError(f"deadline must be a positive number of seconds, not {seconds}")
    return seconds


def as_uint8(images: ArrayLike) -> NDArray[np.uint8]:
    """Raises InputError for anything but uint8, with the way to get there."""
    try:
        array = np.asarray(images)
    except ValueError:
        raise InputError("images must be an array, all of one shape") from None
    if array.dtype == np.uint8:
        return array
    advice = ""
    if np.issubdtype(array.dtype, np.floating):
        advice = "; if they are between 0 and 1: (images * 255).round().astype(numpy.uint8)"
    raise InputError(f"images must be uint8, 0 to 255, not normalised; found {array.dtype}{advice}")


def as_batch(array: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """[N, H, W, C] from that, from one image [H, W, C], or [H, W] of one channel. Raises InputError."""
    if array.ndim == 2 and spec.channels == 1:
        array = array[:, :, np.newaxis]
    if array.ndim == 3:
        array = array[np.newaxis]
    spec.check(array)
    return array


def _read_answer(response: nonn_pb2.PredictResponse, labels: tuple[str, ...], images: int) -> Answer:
    logits = tensors.decode(response.logits, nonn_pb2.FLOAT32, 2)
    if logits.shape != (images, len(labels)):
        raise ValueError(f"logits of shape {list(logits.shape)} for {images} images of {len(labels)} classes")
    return Answer(
        logits=logits,
        labels=tuple(labels[index] for index in logits.argmax(axis=1)),
        answered=tuple(response.answered),
        missing=tuple(response.missing),
        degraded=response.degraded,
        expected_accuracy=response.expected_accuracy,
        bundle=response.bundle_id,
    )
