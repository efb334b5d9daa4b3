"""A student's file from the aggregator, by digest."""

import asyncio
import hashlib
from typing import Any, Final

import grpc

from device_node.cache import is_digest
from device_node.errors import StudentUnusable
from protos import nonn_pb2

MAX_STUDENT_BYTES: Final = 256 * 1024 * 1024
_STALL_SECONDS: Final = 15.0  # an aggregator that sends nothing for so long will not send the rest either
_SLOWEST: Final = 8_000  # bytes a second; slower ones are not waited for, however steadily they trickle


async def fetch_student(stub: Any, digest: str, size: int) -> bytes:
    """The `size` bytes whose sha256 is `digest`, never more memory than that. Raises StudentUnusable."""
    if not is_digest(digest):
        raise StudentUnusable(f"{digest[:80]!r} is no sha256")
    if not 0 < size <= MAX_STUDENT_BYTES:
        raise StudentUnusable(f"a student of {size} bytes; a device takes 1 to {MAX_STUDENT_BYTES}")
    call = stub.FetchStudent(nonn_pb2.FetchStudentRequest(sha256=digest))
    try:
        async with asyncio.timeout(_STALL_SECONDS + size / _SLOWEST):
            data = await _read_chunks(call, size)
    except TimeoutError:
        raise StudentUnusable("fetching it stalled, or would take too long") from None
    except grpc.aio.AioRpcError as error:
        raise StudentUnusable(f"cannot fetch it: {error.code().name}: {error.details()}") from error
    finally:
        call.cancel()
    if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
        raise StudentUnusable(
            f"{len(data)} bytes were fetched that are not those of {digest[:12]} ({size} bytes)"
        )
    return data


async def _read_chunks(call: Any, size: int) -> bytes:
    chunks: list[bytes] = []
    received = 0
    while received <= size:
        async with asyncio.timeout(_STALL_SECONDS):
            chunk = await call.read()
        if chunk is grpc.aio.EOF:
            break
        chunks.append(chunk.data)
        received += len(chunk.data)
    return b"".join(chunks)
