import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import StorageError
from device_node import DeviceSettings, SettingsError, StateFolder, open_state
from device_node.settings import host_name


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_identity_stays(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "a") as first:
        identity = first.device_id
    assert uuid.UUID(identity).version == 4
    with StateFolder(tmp_path, "a") as again:
        assert again.device_id == identity


@pytest.mark.parametrize("content", [b"", b"../../etc/passwd", b"\xff\x00", b"ABCDEF" * 6])
def test_a_damaged_identity_is_replaced_by_a_good_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "device-id").write_bytes(content)
    with StateFolder(tmp_path, "a") as folder:
        identity = folder.device_id
    with StateFolder(tmp_path, "a") as again:
        assert again.device_id == identity
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device-id", "lock"]


def test_the_speed_stays(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "a") as first:
        assert first.speed == 0.0
        first.keep_speed(12.3456)
    with StateFolder(tmp_path, "a") as again:
        assert again.speed == pytest.approx(12.3456, rel=1e-3)


@pytest.mark.parametrize("content", [b"", b"nan", b"inf", b"-1", b"0", b"fast", b"\xff"])
def test_a_damaged_speed_is_not_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "speed").write_bytes(content)
    with StateFolder(tmp_path, "a") as folder:
        assert folder.speed == 0.0


def test_one_folder_is_for_one_device(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "a"), pytest.raises(StorageError, match="another running device"):
        StateFolder(tmp_path, "a")
    StateFolder(tmp_path, "a").close()


def test_devices_without_a_name_share_a_host(state_home: Path) -> None:
    settings, host = DeviceSettings(), host_name()
    with open_state(settings) as first, open_state(settings) as second, open_state(settings) as third:
        assert [first.name, second.name, third.name] == [host, f"{host}-2", f"{host}-3"]
        assert first.path == state_home / "nonn" / "devices" / host
        assert len({first.device_id, second.device_id, third.device_id}) == 3


def test_a_given_name_is_not_changed() -> None:
    settings = DeviceSettings(name="attic")
    with open_state(settings) as first:
        assert first.path.name == "attic"
        with pytest.raises(StorageError, match="another running device"):
            open_state(settings)


def test_a_given_folder_is_used_as_it_is(tmp_path: Path) -> None:
    with open_state(DeviceSettings(state=tmp_path / "here", name="attic")) as folder:
        assert folder.path == tmp_path / "here"


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="state folder"):
        StateFolder(tmp_path / "file" / "state", "a")


def test_nothing_stays_locked_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "device-id").mkdir()
    with pytest.raises(StorageError):
        StateFolder(tmp_path, "a")
    (tmp_path / "device-id").rmdir()
    StateFolder(tmp_path, "a").close()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"aggregator": "nowhere"}, "no HOST:PORT"),
        ({"aggregator": "10.0.0.7:7560"}, "--insecure"),
        ({"name": "../up"}, "the name"),
        ({"name": ""}, "the name"),
        ({"threads": 0}, "threads"),
        ({"parallel": 0}, "parallel"),
        ({"parallel": 257}, "parallel"),
        ({"memory_megabytes": 0}, "memory"),
        ({"cache_megabytes": 0}, "cache"),
        ({"give_up_seconds": float("nan")}, "give-up"),
        ({"give_up_seconds": -1.0}, "give-up"),
    ],
)
def test_settings_that_make_no_sense(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as raised:
        DeviceSettings(**values)  # type: ignore[arg-type]
    assert raised.value.exit_code == 2


def test_another_machine_when_said_aloud() -> None:
    assert DeviceSettings(aggregator="10.0.0.7:7560", insecure=True).insecure


@given(st.text())
def test_any_host_name_gives_a_name_that_is_a_plain_folder(hostname: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: hostname)
        assert DeviceSettings(name=host_name()).display_name == host_name()
