"""Which requests could never be answered, whatever the cluster's state."""

from aggregator.effects import Code, Reason
from aggregator.events import Predict
from aggregator.model import Model
from aggregator.settings import Settings
from bundle import InputError


def reason_to_refuse(model: Model, settings: Settings, request: Predict) -> Reason | None:
    try:
        model.input.check(request.images)
    except InputError as error:
        return Code.INVALID_ARGUMENT, str(error)
    images = len(request.images)
    if images > settings.max_batch:
        limit = f"at most {settings.max_batch} are taken"
        return (
            Code.INVALID_ARGUMENT,
            f"{images} images in one request; {limit}: send them in several requests",
        )
    if request.bundle_id not in ("", model.bundle_id):
        served = f"this cluster serves bundle {model.bundle_id}"
        return Code.FAILED_PRECONDITION, f"{served}, not {request.bundle_id[:64]}"
    return None
