"""Published tables are those of the results that lie beside them."""

from pathlib import Path

import pytest

from benchmarks import report


@pytest.mark.parametrize("page", report.PAGES, ids=lambda page: page.name)
def test_a_page_says_what_the_results_say(page: Path) -> None:
    text = page.read_text()
    again, tables = report.fill(text)
    assert tables
    assert again == text, "`python -m benchmarks.report` writes it anew"


def test_every_table_has_a_page() -> None:
    placed = {name for page in report.PAGES for name in report.fill(page.read_text())[1]}
    assert placed == set(report.TABLES)
