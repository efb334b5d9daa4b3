"""An inventory file, read and checked: what is wrong is said with the file, the host and the key."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any, Final

from nonn.deploy.errors import InventoryError
from nonn.deploy.inventory import Host, Inventory, hidden
from protos import endpoints

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# A dash in front would be an option of ssh; a blank or quote makes no address.
_WORD: Final = re.compile(r"[A-Za-z0-9_:][^\s'\"]{0,254}")
_ACCOUNT: Final = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PATH: Final = re.compile(r"(/[A-Za-z0-9._+-]+)+")
_TABLES: Final = ("aggregator", "certs", "defaults", "hosts")

Check = Callable[[Any], Any]


def load_inventory(path: Path) -> Inventory:
    """Paths in it count from its own folder. Raises InventoryError."""
    table = _read(path)
    try:
        return _inventory(path, table)
    except ValueError as error:
        raise InventoryError(f"{path}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InventoryError(f"there is no inventory {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InventoryError(f"{path} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InventoryError(f"{path} is not valid TOML: {error}") from None


def _inventory(path: Path, table: dict[str, Any]) -> Inventory:
    _check_keys("", table, _TABLES)
    base = path.resolve().parent
    cluster = _table(table, "aggregator")
    _check_keys("aggregator", cluster, ("address", "insecure"))
    certs = _table(table, "certs")
    _check_keys("certs", certs, ("folder",))
    folder = _value("certs.folder", certs["folder"], _local(base)) if "folder" in certs else None
    address = _dialled(cluster, secure=folder is not None)
    defaults = _table(table, "defaults")
    _check_keys("defaults", defaults, [key for key in _checks(base) if key not in ("name", "address")])
    rows = table.get("hosts")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it names no hosts: write one [[hosts]] table for each, with its address")
    hosts = tuple(_host(number, {**defaults, **row}, base) for number, row in enumerate(rows, 1))
    _check_apart(hosts)
    return Inventory(path, address, folder, hosts)


def _dialled(cluster: Mapping[str, Any], *, secure: bool) -> str:
    address: str = _value("aggregator.address", cluster.get("address"), _text)
    insecure = _value("aggregator.insecure", cluster.get("insecure", False), _flag)
    if secure and insecure:
        raise ValueError("aggregator.insecure and [certs] exclude each other: leave one out")
    try:
        host, _ = endpoints.split(address)
    except ValueError as error:
        raise ValueError(f"aggregator.address: {error}") from None
    if not (secure or insecure or endpoints.is_loopback(host)):
        raise ValueError(
            f"aggregator.address: {address} is another machine, so name the folder of `nonn certs` in "
            "[certs], or write insecure = true if that network is trusted"
        )
    return address


def _host(number: int, row: dict[str, Any], base: Path) -> Host:
    where = f"hosts[{number}]"
    if isinstance(row.get("name"), str):
        where += f" ({row['name']})"
    checks = _checks(base)
    _check_keys(where, row, list(checks))
    if "address" not in row:
        raise ValueError(f"{where}: address is missing")
    values = {key: _value(f"{where}.{key}", value, checks[key]) for key, value in row.items()}
    if "name" not in values:
        values["name"] = _value(f"{where}.name, taken from its address,", _first_label(row["address"]), _name)
    service = values.get("service")
    if service is not None:  # one name for everything, unless said otherwise
        values = {"account": service, "prefix": f"/opt/{service}", **values}
    return Host(**values)


def _first_label(address: str) -> str:
    """`kitchen` of kitchen.local; an IP address as a whole."""
    return address if re.fullmatch(r"[0-9.]+", address) else address.partition(".")[0].replace(":", "-")


def _check_apart(hosts: tuple[Host, ...]) -> None:
    """A name is a device's identity; and two services on one host need folders of their own."""
    names: set[str] = set()
    places: dict[tuple[str, int | None, str, str], str] = {}
    for host in hosts:
        if host.name in names:
            raise ValueError(f"two hosts are called {host.name}: a device's name is its identity")
        names.add(host.name)
        for place in (host.units + "/" + host.service, host.folder):
            key = (host.address, host.port, "at", place)
            if places.setdefault(key, host.name) != host.name:
                raise ValueError(f"{places[key]} and {host.name} are one host: give one another `service`")


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ValueError(f"{key} must be a table: [{key}]")
    return found


def _check_keys(where: str, table: Mapping[str, Any], known: Any) -> None:
    for key in table:
        if key not in known:
            place = f"{where}: " if where else ""
            raise ValueError(f"{place}unknown key {key!r}; there are {', '.join(known)}")


def _value(where: str, value: Any, check: Check) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


# ---- kinds of values


def _checks(base: Path) -> dict[str, Check]:
    """By key of a host."""
    local = _local(base)
    found: dict[str, Check] = {
        "name": _name,
        "address": _word,
        "user": _word,
        "port": _between(1, 65535),
        "identity": local,
        "ssh_config": local,
        "sudo": _flag,
        "python": _word_or_path,
        "index": _word,
        "wheelhouse": local,
        "constraints": local,
        "memory": _between(128, 1_000_000),
        "threads": _between(1, 256),
        "parallel": _between(1, 256),
        "cache": _between(1, 1_000_000),
        "service": _account,
        "account": _account,
        "prefix": _folder,
        "root": _absolute,
    }
    assert set(found) == {field.name for field in fields(Host)}
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be a text, not {value!r}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _matching(pattern: re.Pattern[str], what: str) -> Check:
    def check(value: Any) -> str:
        if not pattern.fullmatch(_text(value)):
            raise ValueError(f"{value!r} is no {what}")
        return str(value)

    return check


_name: Final = _matching(_NAME, "name of letters, digits, '.', '_' and '-', 63 at the most")
_word: Final = _matching(_WORD, "single word")
_account: Final = _matching(_ACCOUNT, "name of small letters, digits, '_' and '-', 31 at the most")
_path: Final = _matching(_PATH, "absolute path of letters, digits, '.', '_', '+' and '-'")


def _absolute(value: Any) -> str:
    path = str(_path(value))
    if ".." in PurePosixPath(path).parts or "." in path.split("/"):
        raise ValueError(f"{value!r} must be a path without '.' and '..'")
    return path


def _folder(value: Any) -> str:
    """Deep enough that taking it away is never taking away a part of the system."""
    path = _absolute(value)
    if len(PurePosixPath(path).parts) < 3:
        raise ValueError(f"{value!r} must be a folder of its own, such as /opt/nonn-device")
    if hidden(path):
        raise ValueError(
            f"{value!r} is where the service may not look: use another, such as /opt/nonn-device"
        )
    return path


def _word_or_path(value: Any) -> str:
    return _absolute(value) if str(value).startswith("/") else str(_word(value))


def _between(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {value!r}")
        return value

    return check


def _local(base: Path) -> Check:
    def check(value: Any) -> Path:
        try:
            path = base / Path(_text(value)).expanduser()
        except RuntimeError:
            raise ValueError(f"{value}: there is no such user here") from None
        if not path.exists():
            raise ValueError(f"there is no {path}")
        return path

    return check
