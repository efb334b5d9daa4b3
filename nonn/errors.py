"""What can go wrong between a user and a cluster: the text is the line shown, `exit_code` the command's."""

from typing import ClassVar

from bundle.errors import InputError, NonnError

__all__ = [
    "CertificateError",
    "ClusterNotReady",
    "ClusterUnreachable",
    "InputError",
    "InvariantViolated",
    "MissingExtra",
    "NonnError",
    "RequestRefused",
    "UsageError",
]


class UsageError(NonnError):
    """An option or argument that makes no sense, such as an address without a port."""

    exit_code: ClassVar[int] = 2


class ClusterUnreachable(NonnError):
    """No aggregator answered: nothing listens there, or it stayed silent until the deadline."""

    exit_code: ClassVar[int] = 10


class RequestRefused(NonnError):
    """The aggregator, or the cluster behind it, said no.

    `code` is the name of the gRPC status: RESOURCE_EXHAUSTED (its queue is full; try again after
    `retry_after` seconds), DEADLINE_EXCEEDED (no student answered in time), UNAVAILABLE (no device serves),
    FAILED_PRECONDITION (degraded and `strict`, or another bundle than the one asked for),
    INVALID_ARGUMENT (the images).
    """

    exit_code: ClassVar[int] = 11

    def __init__(self, message: str, *, code: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class ClusterNotReady(NonnError):
    """A cluster that was started for an experiment did not get to serve, or not in time."""

    exit_code: ClassVar[int] = 1


class MissingExtra(NonnError):
    """A package that this command needs is not installed; the text names the extra that brings it."""

    exit_code: ClassVar[int] = 13

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}: in the checkout, `pip install '.[{extra}]'` brings it"
        )


class InvariantViolated(NonnError):
    """A cluster under faults has broken a promise: a fault of NoNN. The text says how to see it again."""

    exit_code: ClassVar[int] = 14


class CertificateError(NonnError):
    """A certificate, key or authority that is missing, over, or not good for what it was to be used for.

    Of a client: the connection came to nothing, or the aggregator said no, for that reason.
    """

    exit_code: ClassVar[int] = 15
