"""pytest's `nonn_cluster`: a real cluster for one test. Loaded by pytest wherever nonn is installed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from nonn.testing import Cluster

MARK: Final = (
    "nonn_cluster(bundle, devices, heal_after, ping, link): what `nonn_cluster` is like; "
    "each as in nonn.testing.Cluster"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("nonn")
    group.addoption(
        "--nonn-bundle",
        type=Path,
        metavar="DIR",
        help="what `nonn_cluster` serves where a test does not say; default: the digits sample",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)


@pytest.fixture
def nonn_cluster(request: pytest.FixtureRequest) -> "Iterator[Cluster]":
    """A cluster of real processes, whole when the test begins and ended after it.

    def test_a_hung_device_costs_no_answer(nonn_cluster):
        with nonn_cluster.device("device-3").paused():
            assert nonn_cluster.predict(images).missing == (3,)
    """
    from nonn.testing import Cluster

    marker = request.node.get_closest_marker("nonn_cluster")
    words, options = (marker.args, dict(marker.kwargs)) if marker else ((), {})
    if not words:
        options.setdefault("bundle", request.config.getoption("--nonn-bundle"))
    try:
        made = Cluster(*words, **options)
    except TypeError as error:
        raise pytest.UsageError(f"the marker nonn_cluster: {error}; it is {MARK}") from None
    with made as cluster:
        yield cluster
