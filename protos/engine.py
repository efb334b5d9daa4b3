"""What gRPC has to be told before it is imported for the first time."""

import os
from typing import Final

# For GRPC_EXPERIMENTS.
OLDER_ENGINE: Final = "-event_engine_listener,-event_engine_client"


def configure() -> None:
    """In the environment of this process; what is set there already stays."""
    # gRPC's newer engine takes each message through two more threads than its older one, which it still has.
    # For messages as small as ours that is a good part of the processor time: see benchmarks/README.md.
    os.environ.setdefault("GRPC_EXPERIMENTS", OLDER_ENGINE)
    # gRPC would write lines of its own about every handshake that fails; we say what is wrong in one.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
