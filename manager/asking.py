"""What the operator is asked or types, and the orders it ends in, as plain data."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from persistentq.job import ConsumerInfo
from persistentq.operations import Preview
from persistentq.query.completing import Offer

from .deeds import Deed


class Focus(Enum):
    """What of a question takes the keys."""

    KEEP = auto()
    DO = auto()
    NUMBER = auto()
    REASON = auto()


class Question(NamedTuple):
    """A question that is confirmed by a button, or by typing how many jobs it is about.

    Attributes:
        seen: Of acts on jobs: which are meant; None while that is looked at.
        focus: At first what does nothing.
        typed: The number, as far as it is typed.
    """

    deed: Deed
    seen: Preview | None = None
    focus: Focus = Focus.KEEP
    typed: str = ""
    reason: str = ""
    problem: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether it is known what would be done."""
        return self.deed.act is None or self.seen is not None

    @property
    def fitting(self) -> int | None:
        """How many jobs would be changed; None while that is not known."""
        return None if self.seen is None else self.seen.fitting

    @property
    def wants_number(self) -> bool:
        """Whether a number has to be typed."""
        return self.deed.wants_number(len(self.deed.ids) if self.seen is None else self.seen.fitting)


class PickConsumer(NamedTuple):
    """The consumers to choose from, below "anyone"; a typed name goes before the highlighted row."""

    deed: Deed
    consumers: tuple[ConsumerInfo, ...]
    row: int = 0
    typed: str = ""
    problem: str = ""


class Entry(NamedTuple):
    """One field of a form: what it is called, what is typed into it, and what stood there at first."""

    name: str
    label: str
    text: str = ""
    was: str = ""


class Form(NamedTuple):
    """Fields to be filled in before a question is asked.

    Attributes:
        deed: What is asked about, without what is typed.
        at: Which field takes the keys.
    """

    deed: Deed
    entries: tuple[Entry, ...]
    at: int = 0
    problem: str = ""


Dialog = Question | PickConsumer | Form


class Prompt(NamedTuple):
    """The line on which a query or a command is typed.

    Attributes:
        sign: What it begins with: / for a query, : for a command.
        at: Where the cursor is.
        problem: Why it cannot be read, and `wrong_at` where; None if no place is to blame.
        offers: What may follow.
        offered: Which of them stands in the line; None for none.
        back: How many lines back in the history.
    """

    sign: str
    text: str = ""
    at: int = 0
    problem: str = ""
    wrong_at: int | None = None
    offers: tuple[Offer, ...] = ()
    offered: int | None = None
    back: int = 0


class Look(NamedTuple):
    """An order to look which jobs a deed is about."""

    deed: Deed


class Do(NamedTuple):
    """An order to do what was confirmed, and why."""

    deed: Deed
    seen: Preview | None = None
    reason: str = ""


class Copy(NamedTuple):
    """An order to put a text on the terminal's clipboard."""

    text: str


class Quit(NamedTuple):
    """An order to leave."""


class Suspend(NamedTuple):
    """An order to give the terminal back to the shell for a while."""


Order = Look | Do | Copy | Quit | Suspend
