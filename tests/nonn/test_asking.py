"""`nonn predict` and `nonn status` within this process, against a real cluster."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle import Bundle
from nonn.cli import main
from protos import nonn_pb2
from tests.end_to_end.offline import Offline
from tests.end_to_end.small_bundle import random_images
from tests.nonn.serving import WAIT, Scripted, Served

PATIENT = ["--deadline", str(WAIT)]
Captured = pytest.CaptureFixture[str]


def test_predictions_for_programs(cluster: Served, bundle: Bundle, tmp_path: Path, capsys: Captured) -> None:
    images = random_images(70, seed=3)
    np.save(tmp_path / "many.npy", images[1:])
    Image.fromarray(images[0, :, :, 0]).save(tmp_path / "one.png")
    paths = [str(tmp_path / "one.png"), str(tmp_path / "many.npy")]
    assert main(["predict", "--aggregator", cluster.address, "--json", "--top", "4", *PATIENT, *paths]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["image"] for one in found] == [paths[0], *(f"{paths[1]}[{index}]" for index in range(69))]
    logits = Offline(bundle).logits(images, range(8)).astype(np.float64)
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for one, row in zip(found, odds, strict=True):
        best = np.argsort(-row)[:4]
        assert [choice["label"] for choice in one["top"]] == [bundle.manifest.labels[i] for i in best]
        np.testing.assert_allclose([choice["probability"] for choice in one["top"]], row[best], atol=1e-3)
        assert one["answered"] == list(range(8))
        assert (one["missing"], one["degraded"], one["bundle"]) == ([], False, bundle.manifest.id)
        assert one["expected_accuracy"] == pytest.approx(bundle.expected_accuracy(range(8)))


def test_predictions_for_people(cluster: Served, bundle: Bundle, tmp_path: Path, capsys: Captured) -> None:
    np.save(tmp_path / "a.npy", random_images(1, seed=3))
    arguments = ["predict", "--aggregator", cluster.address, "--strict", *PATIENT, str(tmp_path / "a.npy")]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("a.npy")
    assert len(lines) == 5
    assert all("%" in line and "class " in line for line in lines[1:4])
    accuracy = f"{bundle.expected_accuracy(range(8)):.1%}"
    assert lines[4] == f"  students 0, 1, 2, 3, 4, 5, 6, 7 answered; expected accuracy {accuracy}"


@pytest.mark.parametrize(
    "wrong", [["--top", "0"], ["--deadline", "0"], ["--deadline", "nan"], ["--deadline", "soon"], []]
)
def test_arguments_that_make_no_sense(wrong: list[str], capsys: Captured) -> None:
    images = ["a.png"] if wrong else []
    assert main(["predict", *wrong, *images]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_array_of_floats(cluster: Served, tmp_path: Path, capsys: Captured) -> None:
    np.save(tmp_path / "a.npy", np.zeros((8, 8)))
    assert main(["predict", "--aggregator", cluster.address, *PATIENT, str(tmp_path / "a.npy")]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "a.npy: images must be uint8" in captured.err


def test_status_for_people(cluster: Served, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["status", "--aggregator", cluster.address, *PATIENT]) == 0
    out = capsys.readouterr().out
    for word in ("small", "8 of 8 students served", "device-0", "device-1", "serving"):
        assert word in out
    (heads,) = (line for line in out.splitlines() if "works" in line)
    row = next(line for line in out.splitlines() if line.split()[:1] == ["device-0"])
    for head, cell in (("state", "serving"), ("an image", "ms fp32"), ("seen", "s ago"), ("machine", " x")):
        start = heads.index(head)
        assert cell in row[start:].split("   ")[0] + " ", f"below {head!r}: {row}"


def test_names_and_states_are_whole_in_a_narrow_window(
    cluster: Served, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["status", "--aggregator", cluster.address, *PATIENT]) == 0
    found = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert ["device-0", "serving"] in found
    assert ["device-1", "serving"] in found


def test_status_for_programs(cluster: Served, bundle: Bundle, capsys: Captured) -> None:
    assert main(["status", "--aggregator", cluster.address, "--json", *PATIENT]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bundle"] == bundle.manifest.id
    assert found["input"] == {"height": 8, "width": 8, "channels": 1}
    assert {device["state"] for device in found["devices"]} == {"serving"}


def test_what_a_device_says_is_shown_as_text(scripted: Scripted, capsys: Captured) -> None:
    """Names and errors come from the network: no markup of theirs is acted on, and nobody serves."""
    device = nonn_pb2.DeviceStatus(device_id="0" * 32, name="[red]x[/nothing]", error="[/]", state=99)
    status = nonn_pb2.StatusResponse(bundle_id="b", input_shape=[2, 2, 1], labels=["cat"], devices=[device])
    status.students.add(student=0, part=0)
    status.expected_accuracy = float("nan")
    scripted.status = lambda: status
    assert main(["status", "--aggregator", scripted.address, *PATIENT]) == 0
    out = capsys.readouterr().out
    assert "nobody serves" in out
    assert main(["status", "--aggregator", scripted.address, "--json", *PATIENT]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["expected_accuracy"] is None
    assert found["devices"][0]["name"] == "[red]x[/nothing]"
    assert found["devices"][0]["state"] == "unknown"
