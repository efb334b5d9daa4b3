from pathlib import Path

import pytest

from nonn.deploy.wheel import Wheel, make_wheel
from tests.deploy.wheels import make_wheelhouse


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """Of this checkout."""
    return make_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that a device needs, so that nothing is downloaded."""
    return make_wheelhouse(tmp_path_factory.mktemp("wheels") / "wheelhouse")
