"""What takes minutes runs when it is asked for: `make test-all`, and on every submission."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--heavy", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--heavy"):
        return
    skipped = pytest.mark.skip(reason="heavy: `make test-all` runs it")
    for item in items:
        if item.get_closest_marker("heavy"):
            item.add_marker(skipped)
