from collections.abc import Iterator

import pytest

from bundle import Bundle
from tests.end_to_end.small_bundle import write_small_bundle
from tests.nonn.serving import Scripted, Served, served


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_small_bundle(tmp_path_factory.mktemp("bundle") / "small")


@pytest.fixture(scope="session")
def cluster(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two devices that serve all eight students."""
    with served(bundle, tmp_path_factory.mktemp("devices"), devices=2) as running:
        yield running


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    running = Scripted()
    yield running
    running.close()
