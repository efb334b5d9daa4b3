"""Which requests could never be answered, whatever the cluster's state."""

from typing import Any

from numpy.typing import NDArray

from aggregator.effects import Code, Reason
from aggregator.model import Model
from aggregator.settings import Settings
from bundle import InputError


def reason_to_refuse(model: Model, settings: Settings, images: NDArray[Any], bundle_id: str) -> Reason | None:
    """images: as received. bundle_id: the only one that the caller wants, or empty."""
    if bundle_id not in ("", model.bundle_id):
        served = f"this cluster serves bundle {model.bundle_id}"
        return Code.FAILED_PRECONDITION, f"{served}, not {bundle_id[:64]}"
    try:
        model.input.check(images)
    except InputError as error:
        return Code.INVALID_ARGUMENT, str(error)
    if len(images) > settings.max_batch:
        limit = f"at most {settings.max_batch} are taken"
        return (
            Code.INVALID_ARGUMENT,
            f"{len(images)} images in one request; {limit}: send them in several requests",
        )
    return None
