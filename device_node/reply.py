"""What a device's students have to say about one work, in as few messages as makes sense."""

from collections.abc import Iterator, Sequence
from typing import Final

from protos import nonn_pb2

# A message ends once it is larger. Each costs about 0.1 ms on either side; of large ones the bytes cost more.
# The aggregator leaves 64 kB beside the logits of one student.
MOST_BYTES_TOGETHER: Final = 32 * 2**10

Answer = nonn_pb2.Partial | nonn_pb2.Refusal


def messages(answers: Sequence[Answer], *, together: bool) -> Iterator[nonn_pb2.DeviceMessage]:
    """In order, as far as each is a message of its own. together: the aggregator takes several in one."""
    held: list[nonn_pb2.Partial] = []
    size = 0
    for answer in answers:
        if isinstance(answer, nonn_pb2.Refusal):
            yield nonn_pb2.DeviceMessage(refusal=answer)
        elif not together:
            yield nonn_pb2.DeviceMessage(partial=answer)
        else:
            held.append(answer)
            size += answer.ByteSize()
            if size > MOST_BYTES_TOGETHER:
                yield _shared(held)
                held, size = [], 0
    if held:
        yield _shared(held)


def _shared(partials: list[nonn_pb2.Partial]) -> nonn_pb2.DeviceMessage:
    if len(partials) == 1:
        return nonn_pb2.DeviceMessage(partial=partials[0])
    return nonn_pb2.DeviceMessage(partials=nonn_pb2.Partials(partials=partials))
