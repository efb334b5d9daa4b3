"""`nonn certs`: what it writes, what it refuses, and that nothing is lost on the way."""

import json
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from aggregator import allowed
from nonn import authority as module
from nonn import issuing, register
from nonn.cli import main
from nonn.errors import CertificateError
from protos.certificate import Role, fingerprint
from protos.credentials import Credentials
from tests.authority import LONG_AGO, NOW, Certificates


@pytest.fixture
def certs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> "Command":
    return Command(tmp_path / "certs", capsys)


class Command:
    """`nonn certs` in one folder. Calling it returns the exit code, what it printed, and its error."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, action: str, *arguments: str) -> tuple[int, str, str]:
        where = [str(self.folder)] if action == "init" else ["--dir", str(self.folder)]
        code = main(["certs", action, *arguments, *where])
        out, error = self._capsys.readouterr()
        return code, out, error

    def good(self, *arguments: str) -> str:
        code, out, error = self(*arguments)
        assert (code, error) == (0, "")
        return out

    def bad(self, code: int, *arguments: str) -> str:
        found, out, error = self(*arguments)
        assert (found, out, error.count("\n")) == (code, "", 1), (found, out, error)
        return error

    def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.good("list", "--json"))
        return found

    def allowed(self) -> set[str]:
        """Fingerprints that the aggregator lets in."""
        return set(allowed.parse((self.folder / "aggregator/allowed.json").read_bytes()))


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())


def print_of(folder: Path) -> str:
    return fingerprint((folder / "cert.pem").read_text())


def test_from_nothing_to_a_cluster(certs: Command) -> None:
    said = certs.good("init", "--host", "192.168.1.10", "--host", "Hub.Example.org")
    assert "192.168.1.10, hub.example.org" in said
    for role in ("device", "client", "operator"):
        assert f"{role}s/my-{role}" in certs.good(role, f"my-{role}")
    folders = [certs.folder / name for name in ("aggregator", "devices/my-device", "clients/my-client")]
    for folder in folders:
        assert Credentials.load(folder).own.name in ("aggregator", folder.name)
        for name, mode in (("key.pem", 0o600), ("cert.pem", 0o644), ("ca.pem", 0o644)):
            assert stat.S_IMODE((folder / name).stat().st_mode) == mode
    assert stat.S_IMODE((certs.folder / "authority/key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((certs.folder / "authority").stat().st_mode) == 0o700
    listed = certs.listed()
    assert [(one["name"], one["role"], one["state"]) for one in listed] == [
        ("aggregator", "aggregator", "good"),
        ("my-device", "device", "good"),
        ("my-client", "client", "good"),
        ("my-operator", "operator", "good"),
    ]
    assert certs.allowed() == {one["fingerprint"] for one in listed}
    table = certs.good("list").splitlines()
    assert table[0].split() == ["NAME", "ROLE", "VALID", "UNTIL", "STATE", "SERIAL"]
    assert table[2].split()[:2] == ["my-device", "device"]
    assert not list(certs.folder.rglob("*.tmp"))


def test_what_is_in_the_certificates(certs: Command) -> None:
    certs.good("init", "--host", "192.168.1.10")
    certs.good("device", "kitchen", "--days", "30")
    hub, kitchen = certificate(certs.folder / "aggregator"), certificate(certs.folder / "devices/kitchen")
    names = hub.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = {
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    }
    assert {"localhost", "127.0.0.1", "::1", "192.168.1.10", socket.gethostname().lower()} <= hosts
    purposes = [one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value for one in (hub, kitchen)]
    assert ExtendedKeyUsageOID.SERVER_AUTH in purposes[0]
    assert list(purposes[1]) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert kitchen.subject.rfc4514_string() == "CN=kitchen,OU=device,O=NoNN"
    assert kitchen.not_valid_after_utc - kitchen.not_valid_before_utc == timedelta(days=37)
    top = x509.load_pem_x509_certificate((certs.folder / "authority/ca.pem").read_bytes())
    assert top.not_valid_after_utc - hub.not_valid_before_utc > timedelta(days=3650)
    kitchen.verify_directly_issued_by(top)
    hub.verify_directly_issued_by(top)


def test_revoking(certs: Command) -> None:
    certs.good("init")
    certs.good("device", "kitchen")
    certs.good("device", "kitchen", "--renew")
    certs.good("device", "shed")
    assert len(certs.allowed()) == 4
    assert certs.good("revoke", "kitchen").count("revoked the device kitchen") == 2
    assert certs.allowed() == {print_of(certs.folder / "aggregator"), print_of(certs.folder / "devices/shed")}
    assert "before" in certs.good("revoke", "kitchen")
    assert [one["revoked"] is None for one in certs.listed()] == [True, False, False, True]
    certs.good("device", "kitchen")  # a name that was revoked may have another
    assert print_of(certs.folder / "devices/kitchen") in certs.allowed()
    assert "nobody" in certs.bad(15, "revoke", "nobody")
    assert "cannot be revoked" in certs.bad(15, "revoke", "aggregator")


def test_issuing_again_has_to_be_said_and_keeps_the_history(certs: Command) -> None:
    certs.good("init")
    certs.good("client", "laptop")
    first = print_of(certs.folder / "clients/laptop")
    assert "--renew" in certs.bad(15, "client", "laptop")
    assert print_of(certs.folder / "clients/laptop") == first
    certs.good("client", "laptop", "--renew")
    second = print_of(certs.folder / "clients/laptop")
    assert {first, second} < certs.allowed()
    assert [one["fingerprint"] for one in certs.listed()][1:] == [first, second]


def test_an_authority_is_never_overwritten(certs: Command) -> None:
    certs.good("init")
    before = {path: path.read_bytes() for path in certs.folder.rglob("*.pem")}
    assert "exists already" in certs.bad(15, "init")
    (certs.folder / "authority").rename(certs.folder / "kept-offline")
    assert "exists already" in certs.bad(15, "init")
    (certs.folder / "kept-offline").rename(certs.folder / "authority")
    assert {path: path.read_bytes() for path in certs.folder.rglob("*.pem")} == before


def test_the_aggregator_gets_more_names(certs: Command) -> None:
    certs.good("init", "--host", "first.example")
    assert "first.example, second.example" in certs.good("aggregator", "--host", "second.example")
    assert len(certs.allowed()) == 2


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "-x", "a b", "a\nb", "ä", "x" * 64, "aggregator", ".hidden"]
)
def test_names_that_are_none(certs: Command, name: str) -> None:
    certs.good("init")
    assert "name" in certs.bad(2, "device", "--", name)
    assert len(certs.listed()) == 1


def test_a_name_has_one_role(certs: Command) -> None:
    certs.good("init")
    certs.good("device", "kitchen")
    assert "taken" in certs.bad(15, "client", "kitchen")


@pytest.mark.parametrize("host", ["", "a b", "*.example", "1.2.3.4/24", "x" * 300, "http://x", "[::1]"])
def test_hosts_that_are_none_leave_nothing_behind(certs: Command, host: str) -> None:
    assert "neither a host's name nor an IP address" in certs.bad(2, "init", "--host", host)
    assert not certs.folder.exists()


@pytest.mark.parametrize("days", ["0", "-1", "x", "3651"])
def test_days_that_are_none(certs: Command, days: str) -> None:
    certs.bad(2, "init", "--days", days)
    assert not certs.folder.exists()


def test_without_an_authority(certs: Command) -> None:
    for action in (["device", "x"], ["revoke", "x"], ["list"], ["aggregator"]):
        assert "nonn certs init" in certs.bad(15, *action)


def test_a_folder_that_cannot_be_written(certs: Command) -> None:
    certs.folder.parent.joinpath("file").write_text("")
    certs.folder = certs.folder.parent / "file" / "certs"
    assert "not a directory" in certs.bad(8, "init")


def test_a_register_that_is_damaged_is_not_written_over(certs: Command) -> None:
    certs.good("init")
    path = certs.folder / "authority/register.json"
    path.write_bytes(path.read_bytes()[:-20])
    before = path.read_bytes()
    for action in (["device", "x"], ["revoke", "x"], ["list"]):
        assert "restore it" in certs.bad(15, *action)
    assert path.read_bytes() == before


def test_an_authority_that_is_over_says_so(tmp_path: Path) -> None:
    old = Certificates(tmp_path / "certs", born=LONG_AGO - timedelta(days=3650))
    with pytest.raises(CertificateError, match="the authority itself expired"):
        old.device("kitchen")


def test_nothing_outlives_its_authority(tmp_path: Path) -> None:
    old = Certificates(tmp_path / "certs", born=NOW - timedelta(days=3600))
    assert Credentials.load(old.device("kitchen")).own.not_after == NOW + timedelta(days=50)


def test_a_command_that_was_cut_short_is_put_right_by_the_next(
    certs: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    certs.good("init")
    certs.good("device", "kitchen")
    write = module._write

    def full(path: Path, data: bytes, mode: int) -> None:
        if path.name == "allowed.json":
            raise OSError(28, "No space left on device", str(path))
        write(path, data, mode)

    monkeypatch.setattr(module, "_write", full)
    assert "no space left" in certs.bad(8, "revoke", "kitchen")
    assert "no space left" in certs.bad(8, "device", "shed")
    assert len(certs.allowed()) == 2
    monkeypatch.setattr(module, "_write", write)
    certs.good("revoke", "kitchen")
    certs.good("device", "shed", "--renew")
    assert print_of(certs.folder / "devices/shed") in certs.allowed()
    assert print_of(certs.folder / "devices/kitchen") not in certs.allowed()


def test_two_commands_at_once_do_not_undo_each_other(tmp_path: Path) -> None:
    Certificates(tmp_path / "certs")

    def issue(number: int) -> None:
        one = module.Authority(tmp_path / "certs")
        with one.held():
            one.issue(f"device-{number}", Role.DEVICE, NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(issue, range(24)))
    entries = module.Authority(tmp_path / "certs").entries().entries
    assert {entry.name for entry in entries} == {f"device-{number}" for number in range(24)}


def test_a_register_is_read_as_it_is_written() -> None:
    issued = issuing.issue(issuing.new_authority(NOW), "kitchen", Role.DEVICE, NOW, 30)
    entry = register.Entry(
        "kitchen", Role.DEVICE, issued.serial, issued.fingerprint, NOW, issued.valid_until, NOW, ("a", "::1")
    )
    assert register.parse(register.render(register.Register((entry,)))).entries == (entry,)
