"""Which answers of one work share a message."""

import numpy as np
import pytest

from device_node.reply import MOST_BYTES_TOGETHER, Answer, messages
from protos import nonn_pb2, tensors


def partial(student: int, classes: int = 3) -> nonn_pb2.Partial:
    return nonn_pb2.Partial(student=student, logits=tensors.encode(np.ones((1, classes), np.float32)))


def refusal(student: int) -> nonn_pb2.Refusal:
    return nonn_pb2.Refusal(student=student, code=nonn_pb2.FAILED)


def told(answers: list[Answer], *, together: bool) -> list[list[int]]:
    """The students of each message."""
    found = []
    for message in messages(answers, together=together):
        kind = message.WhichOneof("kind")
        said = message.partials.partials if kind == "partials" else [getattr(message, str(kind))]
        found.append([answer.student for answer in said])
    return found


def test_answers_share_a_message_only_if_they_may() -> None:
    answers: list[Answer] = [partial(0), partial(1), partial(2)]
    assert told(answers, together=True) == [[0, 1, 2]]
    assert told(answers, together=False) == [[0], [1], [2]]


def test_a_refusal_is_a_message_of_its_own() -> None:
    assert told([partial(0), refusal(1), partial(2)], together=True) == [[1], [0, 2]]


@pytest.mark.parametrize("together", [True, False])
def test_nothing_is_said_where_there_is_nothing_to_say(together: bool) -> None:
    assert told([], together=together) == []


def test_large_answers_go_in_several_messages() -> None:
    classes = MOST_BYTES_TOGETHER // 4 // 2 - 100  # two fit
    assert told([partial(student, classes) for student in range(7)], together=True) == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]
