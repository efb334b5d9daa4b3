"""Whether this machine can be a device. The process itself needs the standard library alone.

Thin probes gather facts; what might crash or hang (numpy, ONNX Runtime, gRPC) is done by children with a
deadline. Checks are pure functions from facts to findings.
"""
