"""The cluster's front: membership, placement, dispatch, merge; its endpoints.

`Core` is the pure state machine, `Aggregator` the server around it, `serve` the process.
"""

from aggregator.core import Core
from aggregator.errors import ListenError, SettingsError
from aggregator.model import Model
from aggregator.policy import Policy
from aggregator.server import Aggregator
from aggregator.service import serve
from aggregator.settings import Settings

__all__ = ["Aggregator", "Core", "ListenError", "Model", "Policy", "Settings", "SettingsError", "serve"]
