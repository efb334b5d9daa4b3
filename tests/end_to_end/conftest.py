from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle import Bundle
from fault_lab.containers.image import find_image
from fault_lab.local_cluster import LocalCluster
from tests.end_to_end.offline import Offline
from tests.end_to_end.small_bundle import STUDENTS, write_small_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_small_bundle(tmp_path_factory.mktemp("bundle") / "small")


@pytest.fixture(scope="session")
def offline(bundle: Bundle) -> Offline:
    return Offline(bundle)


@pytest.fixture(scope="session")
def lab_image() -> str:
    """Of this checkout, built once: for tests that need an engine."""
    return find_image()


@pytest.fixture
def cluster(bundle: Bundle, tmp_path: Path) -> Iterator[LocalCluster]:
    """Eight devices, one student each, which nobody takes over when they are lost."""
    with LocalCluster(
        bundle.path, STUDENTS, folder=tmp_path, aggregator_options=["--heal-after", "never"]
    ) as cluster:
        yield cluster
