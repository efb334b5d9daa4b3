"""Tests that need a Docker engine: `pytestmark = needs_engine`; `needs_arm64` where it runs aarch64 too."""

import pytest

from fault_lab.containers import engine

BASE_IMAGE = "python:3.11-slim-bookworm"
ARM64_BASE_IMAGE = f"arm64v8/{BASE_IMAGE}"


def _missing(base_image: str) -> str:
    """What keeps containers from being tested here; empty when nothing does."""
    try:
        engine.check_engine()
        found = engine.docker("images", "--quiet", base_image, seconds=20)
    except engine.ContainersUnavailable as error:
        return str(error).partition(" (")[0]  # the summary repeats it for each test
    return "" if found else f"the base image {base_image} is not here"


MISSING = _missing(BASE_IMAGE)
MISSING_ARM64 = MISSING or _missing(ARM64_BASE_IMAGE)
needs_engine = pytest.mark.skipif(bool(MISSING), reason=f"containers are not tested: {MISSING}")
needs_arm64 = pytest.mark.skipif(bool(MISSING_ARM64), reason=f"arm64 is not tested: {MISSING_ARM64}")
