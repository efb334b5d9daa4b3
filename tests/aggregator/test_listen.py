"""Where an aggregator listens, and with which settings."""

from typing import Any

import pytest

from aggregator import Aggregator, ListenError, Settings, SettingsError
from bundle import Bundle
from tests.aggregator.scripted import (
    run,
    serving,
)


def test_a_port_in_use_is_an_error(bundle: Bundle) -> None:
    async def test() -> None:
        async with serving(bundle) as cluster:
            with pytest.raises(ListenError, match="in use") as caught:
                async with Aggregator(bundle, listen=cluster.aggregator.address):
                    pass
            assert caught.value.exit_code == 9
            assert "\n" not in str(caught.value)

    run(test)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "192.0.2.7:7560", "[::]:0", "example.org:80"])
def test_other_machines_are_let_in_only_when_that_is_said(bundle: Bundle, listen: str) -> None:
    with pytest.raises(SettingsError, match="--insecure"):
        Aggregator(bundle, listen=listen)
    Aggregator(bundle, listen=listen, insecure=True)


@pytest.mark.parametrize(
    "listen", ["", "7560", "localhost", "localhost:", ":7560", "localhost:x", "[::1]:70000"]
)
def test_an_address_is_host_and_port(bundle: Bundle, listen: str) -> None:
    with pytest.raises(SettingsError, match=r"HOST:PORT|port must be"):
        Aggregator(bundle, listen=listen)


def test_an_address_of_another_machine_cannot_be_had(bundle: Bundle) -> None:
    async def test() -> None:
        with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.7:7560"):
            async with Aggregator(bundle, listen="192.0.2.7:7560", insecure=True):
                pass

    run(test)


def test_a_batch_must_fit_into_a_message(bundle: Bundle) -> None:
    with pytest.raises(SettingsError, match="largest batch is"):
        Aggregator(bundle, Settings(max_batch=10**8))


@pytest.mark.parametrize(
    "wrong", [{"window": 0}, {"ping": 0.0}, {"heal": -1.0}, {"default_deadline": float("nan")}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Settings(**wrong)
