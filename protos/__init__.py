"""The cluster protocol: nonn.proto and the code generated from it."""

PROTOCOL_VERSION = 1
