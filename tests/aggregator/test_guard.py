"""How much one peer may take, on a clock that the test turns."""

import pytest

from aggregator.conduct import (
    FIRST_BAN,
    JOINS,
    LONGEST_BAN,
    MALFORMED,
    UNASKED,
    UNASKED_RATE,
    Conversation,
    Expectation,
    Reputation,
)
from aggregator.guard import Bucket, Call, Guard, Limit
from aggregator.peers import identify

EXPECTED = Expectation(window=2, answers=10, bytes=1000)
AT_ONCE = int(UNASKED) + 4 * 10  # a full window's answers, and some more


def test_a_bucket_gives_what_it_holds_and_fills_again() -> None:
    bucket = Bucket(0.0, burst=3, rate=2)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(0.4)
    assert bucket.take(0.5)
    assert not bucket.full(1.0)
    assert bucket.full(9.0)
    assert [bucket.take(9.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket = Bucket(100.0, burst=1, rate=1)
    assert bucket.take(100.0)
    assert not bucket.take(0.0)
    assert not bucket.take(100.5)


def test_one_peer_has_so_many_calls_under_way_and_others_are_not_concerned() -> None:
    guard = Guard({Call.PREDICT: Limit(open=2), Call.STATUS: Limit(open=1)})
    assert guard.enter(0.0, "a", Call.PREDICT) is None
    assert guard.enter(0.0, "a", Call.PREDICT) is None
    assert guard.enter(0.0, "a", Call.PREDICT) == "2 requests of this peer are under way already"
    assert guard.enter(0.0, "a", Call.STATUS) is None
    assert guard.enter(0.0, "b", Call.PREDICT) is None
    guard.leave("a", Call.PREDICT)
    assert guard.enter(0.0, "a", Call.PREDICT) is None


def test_calls_that_are_short_but_many() -> None:
    guard = Guard({Call.FETCH: Limit(open=9, burst=3, rate=1)})

    def fetch(now: float) -> bool:
        allowed = guard.enter(now, "a", Call.FETCH) is None
        if allowed:
            guard.leave("a", Call.FETCH)
        return allowed

    assert [fetch(0.0) for _ in range(4)] == [True, True, True, False]
    assert fetch(1.0)
    assert not fetch(1.0)


def test_peers_without_end_are_forgotten_unless_they_are_there() -> None:
    guard = Guard({Call.JOIN: Limit(open=1, burst=2, rate=1)}, most_remembered=10)
    assert guard.enter(0.0, "stays", Call.JOIN) is None
    for number in range(1000):
        assert guard.enter(0.0, number, Call.JOIN) is None
        guard.leave(number, Call.JOIN)
    assert len(guard._peers) <= 10
    assert guard.enter(0.0, "stays", Call.JOIN) is not None


def test_peers_that_are_gone_and_owe_nothing_leave_no_trace() -> None:
    guard = Guard({Call.JOIN: Limit(open=1, burst=2, rate=1)})
    assert guard.enter(0.0, "stays", Call.JOIN) is None
    for number in range(1000):
        assert guard.enter(float(number), number, Call.JOIN) is None
        guard.leave(number, Call.JOIN)
    assert len(guard._peers) <= 5
    assert guard.enter(1000.0, "stays", Call.JOIN) is not None


def test_whoever_answers_what_it_is_asked_is_never_shut_out() -> None:
    conversation = Conversation(0.0, EXPECTED)
    for sent in range(1, 1000):
        assert all(conversation.heard(sent / 1000, 900, sent, EXPECTED) is None for _ in range(10))


def test_whoever_was_silent_may_answer_a_full_window_at_once() -> None:
    conversation = Conversation(0.0, EXPECTED)
    sent = 64 + 2  # pings that waited for it, and two works
    assert all(conversation.heard(60.0, 900, sent, EXPECTED) is None for _ in range(64 + 2 * 10))


def test_whoever_talks_without_being_asked_is_shut_out() -> None:
    conversation = Conversation(0.0, EXPECTED)
    heard = [conversation.heard(0.0, 9, 0, EXPECTED) for _ in range(AT_ONCE + 1)]
    assert heard[:-1] == [None] * AT_ONCE
    assert heard[-1] == "more messages than anyone asked it for"
    assert conversation.heard(0.5, 9, 0, EXPECTED) is None  # it may say a little at any time
    assert int(UNASKED_RATE / 2) < AT_ONCE


def test_answers_count_however_many_share_a_message() -> None:
    conversation = Conversation(0.0, EXPECTED)
    for sent in range(1, 1000):
        assert conversation.heard(sent / 1000, 900, sent, EXPECTED) is None
        assert conversation.held(sent / 1000, 10) is None
    for said in (None, "more answers than anyone asked it for"):
        assert conversation.heard(1.0, 900, 999, EXPECTED) is None
        assert conversation.held(1.0, AT_ONCE - 20) == said


def test_the_first_message_that_is_too_large_is_one_too_many() -> None:
    conversation = Conversation(0.0, EXPECTED)
    assert conversation.heard(0.0, 1000, 0, EXPECTED) is None
    assert conversation.heard(0.0, 1001, 0, EXPECTED) == "a message of 1001 bytes, where 1000 would do"
    assert conversation.heard(0.0, 1001, 0, EXPECTED | Expectation(1, 1, 2000)) is None


def test_malformed_messages_are_forgiven_when_they_are_few() -> None:
    conversation = Conversation(0.0, EXPECTED)
    said = [conversation.malformed(0.0) for _ in range(int(MALFORMED) + 1)]
    assert [text is None for text in said] == [True] * int(MALFORMED) + [False]
    assert conversation.malformed(60.0) is None


def test_each_ban_is_longer_than_the_one_before_until_it_is_forgotten() -> None:
    reputation, now, bans = Reputation(), 0.0, []
    assert reputation.may_join(now, "d") is None
    for _ in range(7):
        bans.append(reputation.shut_out(now, "d"))
        assert "shut out" in str(reputation.may_join(now + bans[-1] / 2, "d"))
        now += bans[-1]
        assert reputation.may_join(now, "d") is None
    assert bans == [10, 20, 40, 80, 160, 300, 300]
    assert reputation.may_join(now, "another") is None
    assert reputation.shut_out(now + LONGEST_BAN + 1, "d") == FIRST_BAN


def test_one_identity_on_two_machines_is_noticed() -> None:
    reputation = Reputation()
    said = [reputation.may_join(0.1 * number, "d") for number in range(int(JOINS) + 3)]
    assert said[: int(JOINS)] == [None] * int(JOINS)
    assert "two machines" in str(said[-1])
    assert reputation.may_join(60.0, "d") is None


@pytest.mark.parametrize(
    ("peer", "key", "local"),
    [
        ("ipv4:127.0.0.1:5000", "ipv4:127.0.0.1:5000", True),
        ("ipv6:%5B::1%5D:5000", "ipv6:%5B::1%5D:5000", True),
        ("ipv6:[::ffff:127.0.0.1]:5000", "ipv6:[::ffff:127.0.0.1]:5000", True),
        ("ipv4:192.0.2.7:5000", "192.0.2.7", False),
        ("ipv6:%5B::ffff:192.0.2.7%5D:5000", "192.0.2.7", False),
        ("ipv6:%5B2001:db8::1:2:3:4%5D:5000", "2001:db8::/64", False),
        ("ipv6:%5Bfe80::1%25eth0%5D:5000", "fe80::/64", False),
        ("unix:/run/socket", "unix:/run/socket", False),
        ("", "", False),
    ],
)
def test_a_peer_in_plain_text_is_its_address_or_on_this_machine_its_connection(
    peer: str, key: str, local: bool
) -> None:
    found, is_local = identify(peer)
    assert (found.key, is_local) == (key, local)
