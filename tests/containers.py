"""Tests that need a Docker engine: `pytestmark = needs_engine`."""

import pytest

from fault_lab.containers import engine

BASE_IMAGE = "python:3.11-slim-bookworm"


def _missing() -> str:
    """What keeps containers from being tested here; empty when nothing does."""
    try:
        engine.check_engine()
        found = engine.docker("images", "--quiet", BASE_IMAGE, seconds=20)
    except engine.ContainersUnavailable as error:
        return str(error).partition(" (")[0]  # the summary repeats it for each test
    return "" if found else f"the base image {BASE_IMAGE} is not here"


MISSING = _missing()
needs_engine = pytest.mark.skipif(bool(MISSING), reason=f"containers are not tested: {MISSING}")
