"""The cluster protocol: nonn.proto and the code generated from it."""

PROTOCOL_VERSION = 2

# That a device serves at the most, and so computes at a time, and tells the answers of in one message.
MOST_STUDENTS = 256

# Trailing metadata of every refusal, so that it is not taken for gRPC's own words about a broken connection.
REFUSED_KEY = "nonn-refused"
