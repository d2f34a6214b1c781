"""What a consumer's loop shows of itself, so that others can see whether it is stuck."""

from __future__ import annotations


class Asking:
    """While the block runs, the database is asked, which may take as long as it likes."""

    __slots__ = ("is_on",)

    def __init__(self) -> None:
        self.is_on = False

    def __enter__(self) -> None:
        self.is_on = True

    def __exit__(self, *_: object) -> None:
        self.is_on = False


class Pulse:
    """What a loop shows to whoever watches it.

    Attributes:
        beats: How often it has come round.
        asking: Whether it waits for the database.
    """

    __slots__ = ("asking", "beats")

    def __init__(self) -> None:
        self.beats, self.asking = 0, Asking()

    def beat(self) -> None:
        """Say that the loop comes round."""
        self.beats += 1
