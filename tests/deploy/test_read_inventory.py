"""What an inventory may say, and how a wrong one is refused."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from nonn.cli import main
from nonn.deploy.errors import InventoryError
from nonn.deploy.inventory import Host, Inventory
from nonn.deploy.read_inventory import load_inventory

HEAD = '[aggregator]\naddress = "127.0.0.1:7560"\n'


def load(folder: Path, text: str) -> Inventory:
    path = folder / "boards.toml"
    path.write_text(text)
    return load_inventory(path)


def test_a_host_has_its_defaults_and_its_own(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    inventory = load(
        tmp_path,
        """
        [aggregator]
        address = "192.168.1.10:7560"
        [certs]
        folder = "certs"
        [defaults]
        user = "pi"
        memory = 300
        [[hosts]]
        address = "kitchen.local"
        [[hosts]]
        name = "shed"
        address = "192.168.1.21"
        user = "root"
        port = 2222
        """,
    )
    kitchen, shed = inventory.hosts
    assert (inventory.aggregator, inventory.certificates) == ("192.168.1.10:7560", tmp_path / "certs")
    assert (kitchen.name, kitchen.login, kitchen.memory, kitchen.port) == (
        "kitchen",
        "pi@kitchen.local",
        300,
        None,
    )
    assert (shed.name, shed.login, shed.memory, shed.port) == ("shed", "root@192.168.1.21", 300, 2222)
    assert kitchen.folder == "/opt/nonn-device"
    assert kitchen.state == "/var/lib/nonn-device"


def test_a_service_names_all_that_belongs_to_it(tmp_path: Path) -> None:
    hosts = '[[hosts]]\naddress = "hub"\n[[hosts]]\naddress = "hub"\nname = "hub-2"\nservice = "nonn-two"\n'
    second = load(tmp_path, HEAD + hosts).hosts[1]
    assert (second.account, second.folder, second.state) == ("nonn-two", "/opt/nonn-two", "/var/lib/nonn-two")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "aggregator.address: must be a text"),
        ("[aggregator", "is not valid TOML"),
        ('[aggregator]\naddress = "hub"', "is no HOST:PORT"),
        ('[aggregator]\naddress = "hub:7560"', "[certs], or write insecure = true"),
        (HEAD, "names no hosts"),
        (HEAD + "[[host]]", "unknown key 'host'; there are aggregator, certs, defaults, hosts"),
        (HEAD + "[[hosts]]\nuser = 'pi'", "hosts[1]: address is missing"),
        (HEAD + "[[hosts]]\naddress = '-oProxyCommand=sh'", "hosts[1].address: '-oProxyCommand=sh' is no"),
        (HEAD + "[[hosts]]\naddress = 'a b'", "is no single word"),
        (HEAD + "[[hosts]]\naddress = 'a'\nname = 'a b'", "hosts[1] (a b).name"),
        (HEAD + "[[hosts]]\naddress = 'a'\nprot = 1", "unknown key 'prot'"),
        (HEAD + "[[hosts]]\naddress = 'a'\nport = 70000", "a whole number from 1 to 65535"),
        (HEAD + "[[hosts]]\naddress = 'a'\nport = true", "a whole number from 1 to 65535"),
        (HEAD + "[[hosts]]\naddress = 'a'\nprefix = '/opt'", "a folder of its own"),
        (HEAD + "[[hosts]]\naddress = 'a'\nprefix = '/opt/../usr/lib'", "without '.' and '..'"),
        (HEAD + "[[hosts]]\naddress = 'a'\nprefix = '/opt/a b'", "absolute path"),
        (HEAD + "[[hosts]]\naddress = 'a'\nprefix = '/home/pi/nonn'", "where the service may not look"),
        (HEAD + "[[hosts]]\naddress = 'a'\nprefix = '/tmp/nonn'", "where the service may not look"),
        (HEAD + "[[hosts]]\naddress = 'a'\nidentity = '~nosuchuser/.ssh/id'", "there is no such user here"),
        (HEAD + "[[hosts]]\naddress = 'a'\nsudo = 'yes'", "must be true or false"),
        (HEAD + "[[hosts]]\naddress = 'a'\nwheelhouse = 'nowhere'", "there is no"),
        (HEAD + "[[hosts]]\naddress = 'a.x'\n[[hosts]]\naddress = 'a.y'", "two hosts are called a"),
        (HEAD + "[[hosts]]\naddress = 'a'\n[[hosts]]\naddress = 'a'\nname = 'b'", "another `service`"),
        (HEAD + "[certs]\nfolder = 'nowhere'", "certs.folder: there is no"),
        (HEAD + "[defaults]\nname = 'a'", "unknown key 'name'"),
        (HEAD + "hosts = 3", "unknown key 'hosts'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InventoryError) as error:
        load(tmp_path, text)
    assert said in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "boards.toml"))


def test_the_command_ends_with_its_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(tmp_path / "none.toml")]) == 3
    assert "there is no inventory" in capsys.readouterr().err
    path = tmp_path / "boards.toml"
    path.write_text(HEAD + "[[hosts]]\naddress = 'a'\n")
    assert main(["deploy", str(path), "--only", "b", "--remove"]) == 2
    assert "the inventory's hosts are a" in capsys.readouterr().err


def test_every_key_of_a_host_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/inventory.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", page.partition("## Keys of a host")[2], re.MULTILINE)
    assert set(rows) == {field.name for field in fields(Host)}
