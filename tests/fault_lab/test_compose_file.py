"""`nonn cluster compose`, and the boards and links that it writes."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fault_lab.containers.boards import BOARDS, Group, parse_groups
from fault_lab.containers.compose_file import BoardCluster
from fault_lab.containers.document import block
from fault_lab.containers.lab_file import LabCluster
from fault_lab.proxy import LINKS
from fault_lab.proxy.control import read_links
from nonn.cli import main

ROOT = Path(__file__).resolve().parents[2]
needs_compose = pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0,
    reason="compose files are not checked by Compose: docker with Compose v2 is not here",
)


def understood(text: str, folder: Path) -> dict[str, dict[str, object]]:
    """The services, as Compose itself reads the file."""
    file = folder / "compose.yml"
    file.write_text(text)
    command = ["docker", "compose", "-f", str(file), "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    services: dict[str, dict[str, object]] = json.loads(done.stdout)["services"]
    return services


def test_groups() -> None:
    assert parse_groups("pi4:6,zero2:2") == (Group("pi4", 6), Group("zero2", 2))


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ("pi9:2", "'pi9' is none of the boards pi3, pi4, pi5, zero2"),
        ("pi4:0", "pi4:0: at least 1 device"),
        ("pi4", "'pi4' is no BOARD:COUNT such as pi4:6; the boards are pi3, pi4, pi5, zero2"),
        ("pi4:-1", "is no BOARD:COUNT"),
        ("", "is no BOARD:COUNT"),
        ("pi4:64,zero2:1", "65 devices are more than the 64"),
        ("pi4:1,pi4:2", "pi4 is named twice"),
    ],
)
def test_bad_devices_are_refused(devices: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "compose", "--devices", devices]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("nonn: --devices: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--link", "lora"), "'lora' is none of ethernet, wifi, slow"),
        (("--port", "0"), "0 is no port"),
        (("--port", "65536"), "65536 is no port"),
    ],
)
def test_bad_options_are_refused(
    option: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cluster", "compose", "--devices", "pi4:1", *option]) == 2
    assert said in capsys.readouterr().err


def test_help_names_every_board_and_link(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "compose", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"boards: {', '.join(BOARDS)}" in said
    assert "ethernet, wifi or slow" in said
    assert set(LINKS) == {"ethernet", "wifi", "slow"}


def test_boards_are_in_order_of_their_strength() -> None:
    shares = [BOARDS[name].share for name in ("zero2", "pi3", "pi4", "pi5")]
    assert shares == sorted(shares)
    assert all(0.01 <= share < 1 for share in shares)
    assert [BOARDS[name].free_mb for name in ("zero2", "pi3", "pi4", "pi5")] == [256, 768, 3840, 7936]


def test_the_file_is_commented_and_ends_well() -> None:
    text = BoardCluster((Group("pi4", 6), Group("zero2", 2)), link="wifi").text()
    assert text.startswith("# A cluster of 8 devices")
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    for said in (BOARDS["zero2"].title, LINKS["wifi"].why, "estimates"):
        assert said in text


def test_links_are_told_what_they_are_like() -> None:
    text = BoardCluster((Group("pi4", 6), Group("pi5", 2)), link="slow").text()
    written = re.search(r"<<END\n(.*?)\n *END\n", text, re.DOTALL)
    assert written is not None
    states = read_links(json.loads(written[1]))
    assert states.keys() == {"pi4", "pi5"}
    assert {state.upstream for state in states.values()} == {LINKS["slow"].toxics}
    assert {state.downstream for state in states.values()} == {LINKS["slow"].toxics}


def test_scalars_that_yaml_would_take_for_something_else_are_quoted() -> None:
    entries = {
        "a": "no",
        "b": "1.5",
        "c": "x: y",
        "d": True,
        "e": 0.18,
        "f": "it's #1",
        "g": "a b",
        "h": "x:",
    }
    assert block(entries).splitlines() == [
        *('a: "no"', 'b: "1.5"', 'c: "x: y"', "d: true", "e: 0.18", 'f: "it\'s #1"', "g: a b", 'h: "x:"')
    ]


@needs_compose
def test_compose_understands_a_cluster_of_boards(tmp_path: Path) -> None:
    cluster = BoardCluster(
        (Group("pi3", 3), Group("zero2", 2)), "wifi", "/some $where: else", "/checkout", 7000
    )
    services = understood(cluster.text(), tmp_path)
    assert services.keys() == {"aggregator", "links", "pi3", "zero2"}
    assert services["pi3"]["deploy"]["replicas"] == 3  # type: ignore[index]
    assert services["pi3"]["cpus"] == BOARDS["pi3"].share
    assert services["zero2"]["mem_limit"] == str(256 * 1024 * 1024)
    assert services["pi3"]["command"] == [
        "device",
        "--aggregator",
        "links:7561",
        "--insecure",
        "--parallel",
        "1",
    ]
    assert services["aggregator"]["volumes"][0]["source"] == "/some $$where: else"  # type: ignore[index]
    assert services["aggregator"]["ports"][0]["published"] == "7000"  # type: ignore[index]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


@needs_compose
def test_without_a_link_devices_dial_the_aggregator_itself(tmp_path: Path) -> None:
    services = understood(BoardCluster((Group("pi5", 1),)).text(), tmp_path)
    assert services.keys() == {"aggregator", "pi5"}
    assert "aggregator:7560" in services["pi5"]["command"]  # type: ignore[operator]
    assert services["aggregator"]["volumes"][0]["source"] == str(tmp_path / "samples/digits")  # type: ignore[index]


@needs_compose
@pytest.mark.parametrize("mischievous", [False, True])
@pytest.mark.parametrize("linked", [False, True])
def test_compose_understands_the_cluster_of_a_scenario(
    linked: bool, mischievous: bool, tmp_path: Path
) -> None:
    lab = LabCluster(
        project="nonn-lab-1",
        image="nonn-lab:abc",
        bundle=ROOT / "samples/digits",
        control=tmp_path,
        port=7000,
        devices=("device-0", "device-1"),
        seed=3,
        linked=linked,
        mischievous=mischievous,
    )
    services = understood(lab.text(), tmp_path)
    assert services.keys() == {"aggregator", "device-0", "device-1"} | ({"links"} if linked else set())
    device = services["device-1"]
    dial = "links:7562" if linked else "aggregator:7560"
    arguments = [
        "--aggregator",
        dial,
        "--insecure",
        "--parallel",
        "1",
        "--name",
        "device-1",
        "--precision",
        "fp32",
    ]
    assert device["command"] == (arguments if mischievous else ["device", *arguments])
    wrapper = ["python3", "-m", "fault_lab.mischief", "/control/device-1.json"]
    assert device["entrypoint"] == (wrapper if mischievous else None)
    assert device["restart"] == "no"


def rows() -> dict[str, list[str]]:
    """Of the tables in the documentation, by the name in their first cell."""
    page = (ROOT / "docs/how-to/containers.md").read_text()
    found = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in found}


def test_the_documentation_has_the_figures_of_every_board_and_link() -> None:
    table = rows()
    assert table.keys() == BOARDS.keys() | LINKS.keys()
    for name, board in BOARDS.items():
        milliseconds, share, _, limit = table[name][1:]
        assert milliseconds.startswith(f"{board.resnet18_ms:g} ms")
        assert (share, limit) == (f"{board.share:g}", f"{board.free_mb} MB")
    for name, link in LINKS.items():
        latency, jitter, bandwidth = (
            float(number) * {"ms": 1e-3, "s": 1.0, "Mbit/s": 125e3, "kbit/s": 125.0}[unit]
            for number, unit in (cell.split() for cell in table[name][:3])
        )
        told = (2 * link.toxics.latency, link.toxics.jitter, link.toxics.bandwidth)
        assert (latency, jitter, bandwidth) == pytest.approx(told)
