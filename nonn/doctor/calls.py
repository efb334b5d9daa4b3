"""`python -m nonn.doctor.calls ADDRESS TLS_FOLDER`: the certificate, the aggregator, and the way to it.

Either may be empty.
"""

import sys
import time
from pathlib import Path
from typing import Any, Final

from nonn.doctor.children import say

FIRST_SECONDS: Final = 5.0
ROUND_TRIPS, ROUND_TRIP_SECONDS = 20, 2.0
FETCHED_BYTES, FETCH_SECONDS = 4_000_000, 3.0


def main() -> None:
    from bundle.errors import NonnError

    address, tls = sys.argv[1], Path(sys.argv[2]) if sys.argv[2] else None
    usable = tls is None or _read_certificate(tls)
    if not (usable and address):
        return
    try:
        _call(address, tls)
    except NonnError as error:
        say("failed", error=str(error), code=error.exit_code)


def _read_certificate(tls: Path) -> bool:
    from protos.certificate import Role
    from protos.credentials import Credentials

    try:
        own = Credentials.load(tls, Role.DEVICE).own
    except ValueError as error:
        say("certificate", error=str(error))
        return False
    dates = {"not_before": own.not_before.isoformat(), "not_after": own.not_after.isoformat()}
    say("certificate", name=own.name, **dates)
    return True


def _call(address: str, tls: Path | None) -> None:
    """Raises ClusterUnreachable, CertificateError or RequestRefused."""
    import grpc

    from nonn.client import open_channel
    from nonn.exchange import Ask, Exchange
    from protos import nonn_pb2, nonn_pb2_grpc

    exchange = Exchange(address, insecure=tls is None, tls=tls)
    with open_channel(grpc, exchange) as channel:
        inference, request = nonn_pb2_grpc.InferenceStub(channel), nonn_pb2.StatusRequest()
        try:
            inference.Status(request, timeout=FIRST_SECONDS)
            status = _measure(lambda: inference.Status(request, timeout=FIRST_SECONDS))
        except grpc.RpcError as error:
            raise exchange.explain(error, Ask("Status", request), FIRST_SECONDS) from None
        _say_needs(status)
        _fetch(nonn_pb2_grpc.ClusterStub(channel), status)


def _measure(call: Any) -> Any:
    """The clock is compared at the fastest call, which knows best when it was answered."""
    best, found, started = float("inf"), None, time.monotonic()
    ahead = 0.0
    for _ in range(ROUND_TRIPS):
        sent, clock = time.monotonic(), time.time()
        status = call()
        seconds = time.monotonic() - sent
        if seconds < best:
            best, found, ahead = seconds, status, status.clock_seconds - clock - seconds / 2
        if time.monotonic() - started > ROUND_TRIP_SECONDS:
            break
    told = found is not None and found.clock_seconds > 0  # an aggregator of an older version does not say
    say("answered", round_trip=best, ahead=ahead if told else None, unsure=best / 2)
    return found


def _say_needs(status: Any) -> None:
    from nonn.doctor.needs import needs_of

    sizes = [student.bytes for student in status.students]
    if sizes and all(sizes):
        say("needs", **needs_of(status.bundle_name, sizes, status.input_shape))


def _fetch(stub: Any, status: Any) -> None:
    """Students, one after another, until the time is over or enough has come. What is refused is not told."""
    import grpc

    from protos import nonn_pb2

    started, fetched = time.monotonic(), 0
    try:
        for student in status.students:
            left = FETCH_SECONDS - (time.monotonic() - started)
            if not student.sha256 or left <= 0 or fetched >= FETCHED_BYTES:
                break
            request = nonn_pb2.FetchStudentRequest(sha256=student.sha256)
            for chunk in stub.FetchStudent(request, timeout=left):
                fetched += len(chunk.data)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            return
    say("fetched", bytes=fetched, seconds=time.monotonic() - started)


if __name__ == "__main__":
    main()
