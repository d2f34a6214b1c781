"""What the manager shows, as plain data. Nothing here knows prompt_toolkit, threads or the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

from persistentq.job import Attempt, ConsumerInfo, Job, JobStatus, Page

WIDE, NARROWEST, LOWEST = 120, 60, 15
"""From WIDE columns on, the details stand beside the table; below 60x15 nothing fits."""

FOOTER_LINES = 2

FILTERS: tuple[JobStatus | None, ...] = (None, *JobStatus)


class Place(Enum):
    """Where the keys are heard; each key of the binding table works in some of them."""

    JOBS = auto()
    CONSUMERS = auto()
    HELP = auto()
    CONFIRM = auto()
    NUMBER = auto()
    PICK = auto()
    TOO_SMALL = auto()


class Listing(NamedTuple):
    """Which page of which jobs."""

    status: JobStatus | None
    consumer: str | None
    after: str | None


class Request(NamedTuple):
    """What the reader shall read: a page, one job in full, and which of the marked jobs are gone."""

    listing: Listing
    limit: int
    job_id: int | None
    marks: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was read in one go.

    Attributes:
        next_in: Until the next one is to be expected.
        selected: The job that the request named, or the page's first if it named none; None if there is none.
        attempts: Those of `selected`, oldest first.
        held: The ids of some of the jobs that each consumer is processing.
        gone: Marked jobs that do not exist any more.
    """

    request: Request
    location: str
    read_at: datetime
    next_in: timedelta
    counts: Mapping[JobStatus, int]
    page: Page
    selected: Job | None = None
    attempts: tuple[Attempt, ...] = ()
    consumers: tuple[ConsumerInfo, ...] = ()
    held: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()


class Confirm(NamedTuple):
    """A question with two buttons; the one that does nothing has the focus at first."""

    verb: str
    job_ids: tuple[int, ...]
    consumer: str | None = None
    warning: str = ""
    is_yes: bool = False


class TypeNumber(NamedTuple):
    """A question that only the typed number of jobs confirms."""

    verb: str
    job_ids: tuple[int, ...]
    typed: str = ""
    problem: str = ""


class PickConsumer(NamedTuple):
    """The consumers to choose from, below "anyone"; a typed name goes before the highlighted row."""

    job_ids: tuple[int, ...]
    consumers: tuple[ConsumerInfo, ...]
    row: int = 0
    typed: str = ""
    problem: str = ""


Dialog = Confirm | TypeNumber | PickConsumer


class Act(NamedTuple):
    """An order to change jobs, as the operator confirmed it."""

    verb: str
    job_ids: tuple[int, ...]
    consumer: str | None = None


class Quit(NamedTuple):
    """An order to leave."""


class Message(NamedTuple):
    """What the status line says; `is_error` adds the word, so that colour is never the only sign."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything the screen is drawn from.

    Attributes:
        location: Where the database is looked for, until a snapshot knows better.
        snapshot: The latest that was read, however old.
        problem: Why the latest read failed; None if it did not.
        pages: The cursors of the pages that led to this one; the last is this one's.
        only_status, only_consumer: The filters of the table.
        job_id: The selected job; it may have moved off the page. None: the page's first, once it is read.
        row: Where the selected job is, or was last, on the page.
        consumer_id: The selected consumer; None for the first.
        details: Whether the details show; None: if there is room beside the table.
        scroll: The first line shown of the details, or of the help.
        busy: What is being carried out, or empty.
        order: What the manager has to do next.
    """

    location: str
    columns: int = 80
    lines: int = 24
    snapshot: Snapshot | None = None
    problem: Exception | None = None
    place: Place = Place.JOBS
    only_status: JobStatus | None = None
    only_consumer: str | None = None
    pages: tuple[str | None, ...] = (None,)
    job_id: int | None = None
    row: int = 0
    consumer_id: str | None = None
    marks: frozenset[int] = frozenset()
    details: bool | None = None
    scroll: int = 0
    dialog: Dialog | None = None
    message: Message | None = None
    busy: str = ""
    order: Act | Quit | None = None

    @property
    def heard_at(self) -> Place:
        """Where keys are heard now."""
        if self.is_too_small:
            return Place.TOO_SMALL
        match self.dialog:
            case Confirm():
                return Place.CONFIRM
            case TypeNumber():
                return Place.NUMBER
            case PickConsumer():
                return Place.PICK
        return self.place

    @property
    def is_too_small(self) -> bool:
        """Whether the terminal is too small for anything but saying so."""
        return self.columns < NARROWEST or self.lines < LOWEST

    @property
    def is_wide(self) -> bool:
        """Whether the details fit beside the table."""
        return self.columns >= WIDE

    @property
    def shows_details(self) -> bool:
        """Whether the details are to be seen."""
        return self.is_wide if self.details is None else self.details

    @property
    def header_lines(self) -> int:
        """How many lines there are above the body: the place, the counts, what the body shows."""
        return 3 if self.is_wide else 4

    @property
    def body_lines(self) -> int:
        """How many lines there are between the header and the status line."""
        return max(2, self.lines - self.header_lines - 1 - FOOTER_LINES)

    @property
    def page_size(self) -> int:
        """How many jobs make a page: what fits below the table's head, with the details closed or beside it."""
        return self.body_lines - 1

    @property
    def request(self) -> Request:
        """What should be read for this screen."""
        listing = Listing(self.only_status, self.only_consumer, self.pages[-1])
        return Request(listing, self.page_size, self.job_id, self.marks)

    @property
    def is_current(self) -> bool:
        """Whether the snapshot shows the page that is asked for, though perhaps more or less of it."""
        return self.snapshot is not None and self.snapshot.request.listing == self.request.listing

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs on the page, no more than it has room for; empty before the first is read."""
        return self.snapshot.page.items[: self.page_size] if self.snapshot else ()

    @property
    def consumers(self) -> tuple[ConsumerInfo, ...]:
        """Every known consumer; empty before the first snapshot."""
        return self.snapshot.consumers if self.snapshot else ()

    @property
    def consumer_row(self) -> int:
        """Where the selected consumer is among all; 0 if there is none."""
        ids = [consumer.id for consumer in self.consumers]
        return ids.index(self.consumer_id) if self.consumer_id in ids else 0

    @property
    def selected(self) -> Job | None:
        """The selected job as it was last read, on the page or off it."""
        return None if self.job_id is None else self.find(self.job_id)

    def find(self, job_id: int) -> Job | None:
        """Return this job as it was last read, or None if it is neither on the page nor selected."""
        known = (*self.jobs, self.snapshot.selected if self.snapshot else None)
        return next((job for job in known if job and job.id == job_id), None)

    @property
    def attempts(self) -> tuple[Attempt, ...] | None:
        """The selected job's attempts, or None while they are being read."""
        snapshot = self.snapshot
        if snapshot is None or snapshot.selected is None or snapshot.selected.id != self.job_id:
            return None
        return snapshot.attempts

    @property
    def targets(self) -> tuple[int, ...]:
        """The jobs that an action is about: the marked ones, else the selected one."""
        if self.marks:
            return tuple(sorted(self.marks))
        return () if self.job_id is None else (self.job_id,)

    def says(self, text: str, *, is_error: bool = False) -> State:
        """Return this state with a message in the status line."""
        return replace(self, message=Message(text, is_error))


Move = Callable[[State], State]
"""One step of the manager: what a key, a click or some news makes of the state."""
