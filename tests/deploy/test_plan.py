"""The way from what a host has to what it should have."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonn.deploy.errors import HostFailed
from nonn.deploy.facts import Facts, parse
from nonn.deploy.inventory import Host
from nonn.deploy.plan import Action, Certificates, Do, Wanted, obstacle, plan, removal, skew

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOST = Host("kitchen", "kitchen.local", user="pi")
FILES = {"ca.pem": b"a", "cert.pem": b"c", "key.pem": b"k"}
WEEK = timedelta(days=7)
WANTED = Wanted("0.2.0", "0.2.0-ab", "[Unit]\n", Certificates(FILES, valid=(NOW - WEEK, NOW + 50 * WEEK)))
FRESH = Facts(
    machine="aarch64",
    bits=64,
    libc="glibc",
    python="3.11.2",
    home="/usr",
    venv=True,
    free=9000,
    clock=int(NOW.timestamp()),
    systemd=True,
    root=True,
    occupied="",
    stranger=False,
    others=(),
    made=False,
    account=False,
    own_account=False,
    current="",
    started="",
    version="",
    venv_in_use="",
    venvs=(),
    halves=(),
    certificates="",
    key="",
    unit="",
    enabled=False,
    active=False,
    state=False,
)


def done(host: Host, wanted: Wanted, facts: Facts, actions: tuple[Action, ...]) -> Facts:
    """What a host says once these actions have been done: what the scripts do, as values."""
    does = {action.do for action in actions}
    if Do.ACCOUNT in does:
        facts = replace(facts, account=True, own_account=True)
    if Do.INSTALL in does:
        facts = replace(facts, made=True, venvs=(*facts.venvs, wanted.venv))
    if does & {Do.INSTALL, Do.CERTIFICATES, Do.UNIT, Do.ENABLE, Do.START}:
        facts = replace(
            facts,
            current=wanted.release,
            started=wanted.release,
            venv_in_use=wanted.venv,
            certificates=wanted.certificates_digest,
            key=f"600 {host.account}" if wanted.certificates else "",
            unit=wanted.unit_digest,
            enabled=True,
            active=True,
        )
    return replace(facts, venvs=(facts.venv_in_use,), halves=()) if does else facts


def kinds(facts: Facts, wanted: Wanted = WANTED) -> list[Do]:
    return [action.do for action in plan(HOST, wanted, facts)]


GOOD = done(HOST, WANTED, FRESH, plan(HOST, WANTED, FRESH))


def test_a_fresh_host_gets_everything() -> None:
    assert kinds(FRESH) == [Do.ACCOUNT, Do.INSTALL, Do.CERTIFICATES, Do.UNIT, Do.ENABLE, Do.START]


def test_a_host_that_is_right_gets_nothing() -> None:
    assert kinds(GOOD) == []


names = st.sampled_from(["", WANTED.venv, "0.1.0-cd"])
digests = st.sampled_from(["", WANTED.unit_digest, WANTED.certificates_digest, "other"])
releases = st.sampled_from(["", WANTED.release, "other"])
changes = st.fixed_dictionaries(
    {
        "account": st.booleans(),
        "current": releases,
        "started": releases,
        "venv_in_use": names,
        "venvs": st.lists(names.filter(bool), unique=True).map(tuple),
        "halves": st.lists(st.sampled_from([WANTED.venv, "incoming.12", "ab.partial"]), unique=True).map(
            tuple
        ),
        "certificates": digests,
        "key": st.sampled_from(["", "600 nonn-device", "644 nonn-device", "600 root"]),
        "unit": digests,
        "enabled": st.booleans(),
        "active": st.booleans(),
    }
)


@given(changes, st.sampled_from([WANTED, replace(WANTED, certificates=None)]))
def test_whatever_was_there_the_second_run_finds_nothing_to_do(found: dict[str, Any], wanted: Wanted) -> None:
    facts = replace(GOOD, **found)
    after = done(HOST, wanted, facts, plan(HOST, wanted, facts))
    assert plan(HOST, wanted, after) == ()


@given(changes)
def test_whatever_differs_is_acted_on(found: dict[str, Any]) -> None:
    facts = replace(GOOD, **found)
    if not plan(HOST, WANTED, facts):
        assert replace(facts, halves=(), venvs=GOOD.venvs) == GOOD


@pytest.mark.parametrize(
    ("change", "does"),
    [
        ({"active": False}, [Do.START]),
        ({"started": ""}, [Do.START]),  # cut short between switching and restarting
        ({"enabled": False}, [Do.ENABLE, Do.START]),
        ({"key": "644 nonn-device"}, [Do.CERTIFICATES, Do.START]),
        ({"unit": "edited"}, [Do.UNIT, Do.START]),
        ({"venvs": (), "halves": (WANTED.venv,)}, [Do.INSTALL, Do.START]),  # it does not run any more
        ({"halves": ("incoming.7",)}, [Do.TIDY]),
        ({"venvs": (WANTED.venv, "0.1.0-cd")}, [Do.TIDY]),
    ],
)
def test_one_difference_is_one_change_and_a_restart(change: dict[str, Any], does: list[Do]) -> None:
    assert kinds(replace(GOOD, **change)) == does


def test_half_an_installation_is_finished_and_said() -> None:
    install = plan(HOST, WANTED, replace(FRESH, halves=(WANTED.venv,)))[1]
    assert (install.do, "is half or does not run" in install.why) == (Do.INSTALL, True)


def test_a_certificate_that_is_to_be_issued_is_handed_out_too() -> None:
    wanted = replace(WANTED, certificates=Certificates({}, issue="issue a certificate to kitchen"))
    assert [do for do in kinds(GOOD, wanted) if do in (Do.ISSUE, Do.CERTIFICATES)] == [
        Do.ISSUE,
        Do.CERTIFICATES,
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bits": 32, "machine": "aarch64"}, "32-bit"),
        ({"bits": 32, "machine": "armv7l"}, "no ONNX Runtime"),
        ({"machine": "riscv64"}, "architecture is riscv64"),
        ({"libc": "other"}, "without glibc"),
        ({"systemd": False}, "does not run systemd"),
        ({"root": False}, "sudo without a password"),
        ({"occupied": HOST.folder}, "name another prefix"),
        ({"occupied": HOST.state}, "/var/lib/nonn-device holds something that deploy did not make"),
        ({"others": ("old-device",), "stranger": True}, "(old-device): take that away first"),
        ({"stranger": True}, "name another `service`"),
        ({"python": ""}, "it has no python3"),
        ({"python": "3.9.2"}, "is 3.9.2, and 3.11 is needed"),
        ({"home": "/home/pi/.pyenv/versions/3.12.1"}, "which the service is not allowed to see"),
        ({"venv": False}, "apt install python3-venv"),
        ({"free": 100}, "100 MB are free"),
        ({"clock": 0}, "its clock says 1970-01-01"),
        ({"clock": int((NOW + 60 * WEEK).timestamp())}, "set it there"),
    ],
)
def test_what_stands_in_the_way_is_named(change: dict[str, Any], said: str) -> None:
    assert said in obstacle(HOST, WANTED, replace(FRESH, **change), NOW)
    assert obstacle(HOST, WANTED, FRESH, NOW) == ""


def test_a_clock_matters_for_certificates_only() -> None:
    wrong = replace(FRESH, clock=0)
    assert obstacle(HOST, replace(WANTED, certificates=None), wrong, NOW) == ""
    assert "behind" in skew(wrong, NOW)
    assert skew(FRESH, NOW) == ""


def test_space_matters_for_installing_only() -> None:
    assert obstacle(HOST, WANTED, replace(GOOD, free=1), NOW) == ""


def test_removing_takes_what_was_made_and_no_more() -> None:
    assert removal(HOST, FRESH) == ()
    (action,) = removal(HOST, replace(GOOD, state=True))
    assert "/var/lib/nonn-device" in action.why
    assert "the user nonn-device" in action.why
    (action,) = removal(HOST, replace(GOOD, own_account=False))
    assert "user" not in action.why


def as_text(value: object) -> str:
    """As the scripts write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(value) if isinstance(value, tuple) else str(value)


def test_facts_are_found_amid_what_a_login_prints() -> None:
    lines = [f"{field.name}={as_text(getattr(GOOD, field.name))}" for field in fields(Facts)]
    text = "\n".join(["Welcome to your board!", "bits=32", "nonn-facts", *lines, "nonn-end", "bye"])
    assert parse(text) == GOOD


@given(st.text())
def test_nonsense_is_no_answer(text: str) -> None:
    with pytest.raises(HostFailed):
        parse(text)
