"""One device of a cluster: joins an aggregator, fetches its students, and answers with partial logits.

Runs on grpcio, numpy, onnxruntime and protobuf alone.

>>> from device_node import DeviceSettings, run
>>> run(DeviceSettings(aggregator="127.0.0.1:7560"))  # doctest: +SKIP
"""

from device_node.errors import AggregatorUnreachable, CertificateError, ProtocolMismatch, SettingsError
from device_node.node import DeviceNode, run
from device_node.settings import DEFAULT_AGGREGATOR, DeviceSettings
from device_node.state import StateFolder, open_state

__all__ = [
    "DEFAULT_AGGREGATOR",
    "AggregatorUnreachable",
    "CertificateError",
    "DeviceNode",
    "DeviceSettings",
    "ProtocolMismatch",
    "SettingsError",
    "StateFolder",
    "open_state",
    "run",
]
