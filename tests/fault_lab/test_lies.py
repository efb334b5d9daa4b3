"""What a device that is told to answer wrongly sends: the same again for the same seed."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fault_lab.control_file import ControlFile, to_document, write
from fault_lab.mischief import HONEST, Answers, Mischief, read_mischief
from fault_lab.mischief.parts import UnreliableWorker
from protos import nonn_pb2, tensors

LOGITS = np.arange(10, dtype=np.float32).reshape(1, 10)
WORKS = range(1, 101)


def answers(folder: Path, lie: Answers, works: range = WORKS) -> dict[int, bytes]:
    """By work, what a new connection of a device sends for student 3."""
    write(folder / "control.json", to_document(Mischief(answers=lie)))
    sent: dict[int, bytes] = {}

    async def send(message: nonn_pb2.DeviceMessage) -> None:
        sent[message.partial.work_id] = message.SerializeToString()

    async def run() -> None:
        control = ControlFile(folder / "control.json", read_mischief, HONEST)
        nothing: Any = None
        worker = UnreliableWorker(control, nothing, nothing, 1, send)
        for work in works:
            await worker._answer(honest(work))

    asyncio.run(run())
    return sent


def honest(work: int) -> nonn_pb2.DeviceMessage:
    partial = nonn_pb2.Partial(work_id=work, student=3, logits=tensors.encode(LOGITS))
    return nonn_pb2.DeviceMessage(partial=partial)


def hit(sent: dict[int, bytes]) -> set[int]:
    return {work for work, message in sent.items() if message != honest(work).SerializeToString()}


@pytest.mark.parametrize("way", ["corrupt", "nan", "wrong_shape"])
def test_a_seed_decides_which_answers_are_hit_and_how(tmp_path: Path, way: str) -> None:
    first = answers(tmp_path, Answers(way, 0.4, seed=7))
    assert first == answers(tmp_path, Answers(way, 0.4, seed=7))
    assert 20 < len(hit(first)) < 60
    assert hit(first) != hit(answers(tmp_path, Answers(way, 0.4, seed=8)))


def test_a_connection_that_is_made_anew_changes_nothing(tmp_path: Path) -> None:
    lie = Answers("corrupt", 0.4, seed=7)
    assert answers(tmp_path, lie) == {
        **answers(tmp_path, lie, WORKS[:50]),
        **answers(tmp_path, lie, WORKS[50:]),
    }


def test_made_up_logits_differ_from_answer_to_answer(tmp_path: Path) -> None:
    sent = answers(tmp_path, Answers("corrupt", seed=7))
    made_up = {nonn_pb2.DeviceMessage.FromString(each).partial.logits.data for each in sent.values()}
    assert len(made_up) == len(WORKS)
