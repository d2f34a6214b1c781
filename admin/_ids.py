"""Job ids as they are typed, or piped from `list-jobs --output ids`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from persistentq import InvalidArgument
from persistentq.checks import MAX_ID, check_id, check_queue


class NoJobId(InvalidArgument):
    """What should be a job's id is none; it may be the name of a queue."""

    @property
    def hint(self) -> str:
        """Where ids are found."""
        try:
            queue = check_queue(self.value)
        except InvalidArgument:
            queue = "NAME"
        return f"`queues` lists the queues, and `list-jobs --where queue:{queue}` the jobs of one"


def read_id(word: str) -> int:
    """Return the job id that `word` is.

    Raises:
        NoJobId: it is none.
    """
    if not (word.isascii() and word.isdigit()):
        raise NoJobId("job id", word, f"is not a whole number from 1 to {MAX_ID}")
    return check_id(int(word))


def read_ids(words: Sequence[str]) -> list[int]:
    """Return the job ids, each once, in the order given; `-` stands for those on standard input.

    Raises:
        InvalidArgument: a word is not an id.
    """
    ids: dict[int, None] = {}
    for word in words:
        given = sys.stdin.read().split() if word == "-" else [word]
        ids.update(dict.fromkeys(map(read_id, given)))
    return list(ids)
