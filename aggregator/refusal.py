"""How a call is refused: one line, a status, and a mark that tells it from gRPC's own words."""

import math
from typing import Any, NoReturn

import grpc

from protos import REFUSED_KEY


class CallRefused(Exception):
    """Raised by what serves a call. str() is the line that the caller gets.

    retry_after: in seconds, when that may help.
    """

    def __init__(self, code: grpc.StatusCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


async def refuse(context: Any, refusal: CallRefused) -> NoReturn:
    metadata = [(REFUSED_KEY, "1")]
    if refusal.retry_after is not None:
        metadata.append(("retry-after-ms", str(math.ceil(refusal.retry_after * 1000))))
    await context.abort(refusal.code, str(refusal), tuple(metadata))
    raise AssertionError("abort always raises")
