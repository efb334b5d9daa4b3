"""The cluster protocol: nonn.proto and the code generated from it."""

PROTOCOL_VERSION = 2

# Trailing metadata of every refusal, so that it is not taken for gRPC's own words about a broken connection.
REFUSED_KEY = "nonn-refused"
