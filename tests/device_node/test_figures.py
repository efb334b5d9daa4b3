import json
from dataclasses import replace
from pathlib import Path

import pytest

from device_node.figures import FILE, MOST_FIGURES, Conditions, Figure, Figures, current_conditions

HERE = Conditions("Raspberry Pi 4", "1.22.0")
A, B = "a" * 64, "b" * 64


def test_figures_stay(tmp_path: Path) -> None:
    Figures(tmp_path, HERE).keep({(A, 1): Figure(2.5, 81_000_000), (A, 2): Figure(1.5)})
    Figures(tmp_path, HERE).keep({(B, 1): Figure(3.5)})
    again = Figures(tmp_path, HERE)
    assert again.find(A, 1) == Figure(2.5, 81_000_000)
    assert again.find(A, 2) == Figure(1.5)
    assert again.find(B, 1) == Figure(3.5)
    assert again.find(B, 2) is None


def test_a_new_figure_replaces_the_old_one(tmp_path: Path) -> None:
    figures = Figures(tmp_path, HERE)
    figures.keep({(A, 1): Figure(2.5)})
    figures.keep({(A, 1): Figure(1.5)})
    assert Figures(tmp_path, HERE).find(A, 1) == figures.find(A, 1) == Figure(1.5)


@pytest.mark.parametrize(
    "elsewhere", [replace(HERE, processor="Raspberry Pi 5"), replace(HERE, runtime="1.23.0")]
)
def test_another_processor_or_runtime_has_to_be_measured_anew(tmp_path: Path, elsewhere: Conditions) -> None:
    Figures(tmp_path, HERE).keep({(A, 1): Figure(2.5)})
    assert Figures(tmp_path, elsewhere).find(A, 1) is None


def test_the_oldest_go(tmp_path: Path) -> None:
    figures = Figures(tmp_path, HERE)
    figures.keep({(A, 1): Figure(1.0)})
    figures.keep({(f"{number:064x}", 1): Figure(2.0) for number in range(MOST_FIGURES)})
    assert Figures(tmp_path, HERE).find(A, 1) is None
    assert Figures(tmp_path, HERE).find(f"{0:064x}", 1) == Figure(2.0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"processor": "Raspberry Pi 4", "runtime": "1.22.0", "students": 5}',
        b'{"processor": "Raspberry Pi 4", "runtime": "1.22.0", "students": [{}]}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_counts_as_nothing_measured(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    figures = Figures(tmp_path, HERE)
    assert figures.find(A, 1) is None
    figures.keep({(A, 1): Figure(2.5)})
    assert Figures(tmp_path, HERE).find(A, 1) == Figure(2.5)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_not_believed(tmp_path: Path, wrong: float) -> None:
    Figures(tmp_path, HERE).keep({(A, 1): Figure(2.5)})
    document = json.loads((tmp_path / FILE).read_bytes())
    document["students"][0]["milliseconds"] = wrong
    (tmp_path / FILE).write_text(json.dumps(document))
    assert Figures(tmp_path, HERE).find(A, 1) is None


def test_this_machine_is_known() -> None:
    import onnxruntime

    found = current_conditions()
    assert found.processor
    assert found.runtime == onnxruntime.__version__
