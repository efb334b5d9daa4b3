import pytest

from protos import endpoints


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:7560", ("127.0.0.1", 7560)),
        ("[::1]:0", ("::1", 0)),
        ("pi-3.local:65535", ("pi-3.local", 65535)),
    ],
)
def test_splits(address: str, expected: tuple[str, int]) -> None:
    assert endpoints.split(address) == expected


@pytest.mark.parametrize(
    "address", ["", "pi", ":7560", "pi:", "pi:-1", "pi:65536", "::1:7560", "pi:http", "pi:٣"]
)
def test_refuses_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"port|PORT"):
        endpoints.split(address)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1"])
def test_plain_text_on_this_machine(host: str) -> None:
    endpoints.check_dialled(host, insecure=False, tls=False)


@pytest.mark.parametrize("host", ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "localhost.evil.example:1", "pi:1"])
def test_plain_text_elsewhere_is_said_aloud(host: str) -> None:
    with pytest.raises(ValueError, match="--insecure"):
        endpoints.check_dialled(host, insecure=False, tls=False)
    endpoints.check_dialled(host, insecure=True, tls=False)
    endpoints.check_dialled(host, insecure=False, tls=True)
