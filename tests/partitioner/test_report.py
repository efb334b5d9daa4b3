"""The figures of a partition, its JSON form and its picture."""

import json
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from partitioner import (
    METHODS,
    FilterGraph,
    Method,
    Partition,
    PartitionError,
    PartitionFileError,
    draw,
    partition,
    report,
)


@settings(deadline=None, max_examples=40)
@given(filters=st.integers(2, 15), seed=st.integers(0, 10_000), data=st.data())
def test_figures_agree_with_networkx(filters: int, seed: int, data: st.DataObject) -> None:
    weights = np.triu(np.random.default_rng(seed).random((filters, filters)) + 1e-3, 1)
    graph = FilterGraph(weights + weights.T, np.arange(filters) + 1.0)
    split = partition(graph, "random", parts=data.draw(st.integers(1, filters)), seed=seed)
    figures = report(graph, split)
    peer = networkx.from_numpy_array(graph.weights)
    between = [networkx.cut_size(peer, part, weight="weight") for part in split.parts]
    volumes = [networkx.volume(peer, part, weight="weight") for part in split.parts]
    assert figures.cut == pytest.approx(sum(between) / sum(volumes))
    assert figures.normalized_cut == pytest.approx(sum(c / v for c, v in zip(between, volumes, strict=True)))
    assert figures.modularity == pytest.approx(networkx.community.modularity(peer, split.parts), abs=1e-9)
    mass = [graph.activity[list(part)].sum() / graph.activity.sum() for part in split.parts]
    assert figures.activation_mass == pytest.approx(tuple(mass))
    assert figures.dropped == 0


def test_dropped_filters_count_in_mass_but_not_in_cut() -> None:
    graph = FilterGraph(1 - np.eye(4), np.array([1.0, 1.0, 2.0, 4.0]))
    figures = report(graph, Partition("louvain", ((0,), (1, 2)), dropped=(3,)))
    assert figures.sizes == (1, 2)
    assert figures.cut == pytest.approx(2 / 3)
    assert figures.normalized_cut == pytest.approx(1 + 1 / 2)
    assert figures.activation_mass == (0.125, 0.375)
    assert figures.dropped == 1


def test_figures_of_huge_and_tiny_weights_are_finite(planted: FilterGraph) -> None:
    split = partition(planted, "eigenvector", parts=4)
    expected = report(planted, split)
    for scale in (1e-250, 1e300):
        figures = report(FilterGraph(planted.weights * scale, planted.activity * scale), split)
        assert figures.cut == pytest.approx(expected.cut)
        assert figures.activation_mass == pytest.approx(expected.activation_mass)


def test_a_partition_of_another_graph_is_refused(planted: FilterGraph, tmp_path: Path) -> None:
    split = Partition("random", ((0,), (1,)))
    with pytest.raises(PartitionError, match="of 2 filters, the graph has 48"):
        report(planted, split)
    with pytest.raises(PartitionError, match="of 2 filters, the graph has 48"):
        draw(planted, split, tmp_path / "x.png")


@pytest.mark.parametrize("method", METHODS)
def test_a_partition_survives_json(planted: FilterGraph, method: Method) -> None:
    split = partition(planted, method, parts=2, seed=2)
    assert Partition.from_dict(json.loads(json.dumps(split.to_dict()))) == split
    assert json.loads(json.dumps(report(planted, split).to_dict()))["sizes"] == list(split.sizes)


def test_labels_name_the_part_of_each_filter() -> None:
    split = Partition("louvain", ((1, 4), (0, 3)), dropped=(2,))
    assert split.labels().tolist() == [1, 0, -1, 1, 0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"parts": [[0, 1], [1, 2]]}, "equally often"),
        ({"parts": [[0, 1], [3]]}, "from 0 to 2"),
        ({"parts": [[1, 0], [2]]}, "ascending"),
        ({"parts": [[0, 1, 2], []]}, "no empty part"),
        ({"parts": []}, "at least one part"),
        ({"parts": [[0, 1.0], [2]]}, "not a partition"),
        ({"parts": 3}, "not a partition"),
        ({"seed": "0"}, "not a partition"),
        ({"extra": 1}, "not a partition"),
        ({"method": "metis"}, "unknown method"),
        ({"dropped": [3]}, "must not drop"),
    ],
)
def test_what_is_no_partition_is_refused(change: dict[str, object], complaint: str) -> None:
    values = {"method": "random", "parts": [[0, 1], [2]], "dropped": [], "seed": 0} | change
    with pytest.raises(PartitionError, match=complaint):
        Partition.from_dict(values)


def test_a_missing_key_is_refused() -> None:
    with pytest.raises(PartitionError, match="not a partition"):
        Partition.from_dict({"method": "random"})


def test_a_picture_has_blocks_where_the_parts_are(planted: FilterGraph, tmp_path: Path) -> None:
    path = tmp_path / "parts.png"
    draw(planted, partition(planted, "balanced", parts=6), path)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"), dtype=float)
    assert min(pixels.shape) > 800
    assert pixels.std() > 20
    assert [file.name for file in tmp_path.iterdir()] == ["parts.png"]


@pytest.mark.parametrize("method", ["louvain", "random"])
def test_an_svg_is_the_same_each_time_and_says_the_figures(
    planted: FilterGraph, method: Method, tmp_path: Path
) -> None:
    split = partition(planted, method, parts=2)
    for name in ("a.svg", "b.SVG"):
        draw(planted, split, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.SVG").read_text()
    assert f"cut {report(planted, split).cut:.3f}" in text
    assert ("dropped" in text) == (method == "louvain")


def test_pictures_of_extreme_graphs(tmp_path: Path) -> None:
    silent = FilterGraph(np.zeros((3, 3)), np.zeros(3))
    draw(silent, partition(silent, "eigenvector", parts=3), tmp_path / "silent.png")
    single = FilterGraph(np.zeros((1, 1)), np.ones(1))
    draw(single, partition(single, "random", parts=1), tmp_path / "single.png")
    many = FilterGraph(1 - np.eye(80), np.ones(80))
    draw(many, partition(many, "random", parts=80), tmp_path / "many.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_pictures_that_cannot_be_written_are_refused(planted: FilterGraph, tmp_path: Path) -> None:
    split = partition(planted, "random", parts=2)
    with pytest.raises(PartitionFileError, match=r"name the picture \.png or \.svg"):
        draw(planted, split, tmp_path / "parts.gif")
    with pytest.raises(PartitionFileError, match=r"cannot write .*parts\.png"):
        draw(planted, split, tmp_path / "nowhere" / "parts.png")


def test_overlapping_parts_hold_every_filter_so_many_times() -> None:
    split = Partition("spread", ((0, 4), (1, 3), (2, 5)))
    twice = split.overlapping(2)
    assert twice.parts == ((0, 1, 3, 4), (1, 2, 3, 5), (0, 2, 4, 5))
    assert (split.copies, twice.copies, twice.filters) == (1, 2, 6)
    assert split.overlapping(1) == split
    assert split.overlapping(3).parts == (tuple(range(6)),) * 3
    assert Partition.from_dict(twice.to_dict()) == twice
    with pytest.raises(PartitionError, match="no single label"):
        twice.labels()
    for copies in (0, 4):
        with pytest.raises(PartitionError):
            split.overlapping(copies)
    with pytest.raises(PartitionError):
        twice.overlapping(2)
