"""What the manager shows, as plain data. Nothing here knows prompt_toolkit, threads or the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import NamedTuple

from persistentq.job import Attempt, ConsumerInfo, Job, JobStatus
from persistentq.query import All, Comparison, Term, parse, unparse

from .asking import Dialog, Focus, Form, Order, PickConsumer, Prompt, Question
from .snapshot import INTERVALS, Listing, Place, Request, Row, Snapshot
from .sorting import Sort, sorted_rows
from .views import VIEWS

WIDE, HIGH, NARROWEST, LOWEST = 120, 30, 60, 15
"""From so many columns on a job's details stand beside the table, and from so many lines on those of a row below it.

Below 60x15 nothing fits.
"""

FOOTER_LINES = 2

FILTERS: tuple[JobStatus | None, ...] = (None, *JobStatus)


class Message(NamedTuple):
    """What the status line says; `is_error` adds the word, so that colour is never the only sign."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything the screen is drawn from.

    Attributes:
        location: Where the database is looked for, until a snapshot knows better.
        is_readonly: Whether every change is refused.
        snapshot: The latest that was read, however old.
        problem: Why the latest read failed; None if it did not.
        place: The view, or the help.
        back: The views that led to this one.
        pages: The cursors of the pages that led to this one; the last is this one's.
        only_status: The status that is chosen above the table; None for all.
        where: What was typed into the query box; empty for every job.
        job_id: The selected job; it may have moved off the page. None: the page's first, once it is read.
        row: Where the selected job is, or was last, on the page.
        cursors: The selected row's key of each other view; the first row where there is none.
        sorts: How the rows of a view are sorted, where they are not in their own order.
        is_all: Whether every job that the query means is marked, instead of `marks`.
        anchor: The job that was marked last, where a range begins.
        details: Whether the details show; None: if there is room beside the table.
        has_all_columns: Whether the jobs show all columns that have room, not only the usual ones.
        is_log: Whether a consumer's details are the last lines of its log.
        scroll: The first line shown of the details, or of the help; of a log, how many lines its end is below.
        is_frozen: Whether nothing is read.
        every: How often is read; None for only when something else is asked for.
        revealed: A job as it was when somebody looked at its secrets.
        history: What was typed on the prompt.
        entry: What the journal calls the operator's last act from here, which z takes back.
        did: The command that does what was done last; empty if nothing was done since the view was chosen.
        busy: What is being carried out, or empty.
        order: What the manager has to do next.
    """

    location: str
    is_readonly: bool = False
    columns: int = 80
    lines: int = 24
    snapshot: Snapshot | None = None
    problem: Exception | None = None
    place: Place = Place.JOBS
    back: tuple[Place, ...] = ()
    only_status: JobStatus | None = None
    where: str = ""
    pages: tuple[str | None, ...] = (None,)
    job_id: int | None = None
    row: int = 0
    cursors: Mapping[Place, str] = field(default_factory=dict)
    sorts: Mapping[Place, Sort] = field(default_factory=dict)
    marks: frozenset[int] = frozenset()
    is_all: bool = False
    anchor: int | None = None
    details: bool | None = None
    has_all_columns: bool = False
    is_log: bool = False
    scroll: int = 0
    is_frozen: bool = False
    every: timedelta | None = INTERVALS[0]
    revealed: Job | None = None
    dialog: Dialog | None = None
    prompt: Prompt | None = None
    history: tuple[str, ...] = ()
    message: Message | None = None
    entry: int | None = None
    did: str = ""
    busy: str = ""
    order: Order | None = None

    @property
    def heard_at(self) -> Place:
        """Where keys are heard now."""
        if self.is_too_small:
            return Place.TOO_SMALL
        match self.dialog:
            case Question(focus=Focus.KEEP | Focus.DO):
                return Place.BUTTONS
            case Question() | Form():
                return Place.FIELD
            case PickConsumer():
                return Place.PICK
        return self.place if self.prompt is None else Place.PROMPT

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
        """Whether the details are to be seen: if nobody said, where there is room for them."""
        if self.view is Place.JOBS:
            has_room = self.is_wide and not self.has_all_columns
            return has_room if self.details is None else self.details
        if self.shows_log:
            return True
        has_more = self.chosen is not None and bool(self.chosen.about)
        return has_more and (self.lines >= HIGH if self.details is None else self.details)

    @property
    def log_of(self) -> str:
        """Whose log is to be read, as the consumer's row is called; empty for none."""
        if not self.is_log or self.view is not Place.CONSUMERS:
            return ""
        return self.chosen.key if self.chosen else self.cursors.get(self.view, "")

    @property
    def shows_log(self) -> bool:
        """Whether the last lines of a consumer's log are to be seen."""
        return bool(self.log_of) and self.chosen is not None

    @property
    def output(self) -> tuple[str, ...] | None:
        """The last lines of the log that is to be seen, or None while they are being read."""
        if self.snapshot is None or self.snapshot.request.log_of != self.log_of:
            return None
        return self.snapshot.output

    @property
    def is_beside(self) -> bool:
        """Whether the details stand beside the table, and not below it; other tables need all the width."""
        return self.is_wide and self.view is Place.JOBS

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
    def query(self) -> str:
        """Which jobs the table shows, in the query language; empty for every job."""
        if self.only_status is None:
            return self.where
        status = Term("status", Comparison.IS, str(self.only_status))
        return unparse(All((status, parse(self.where)) if self.where else (status,)))

    @property
    def request(self) -> Request:
        """What should be read for this screen."""
        view = self.view
        return Request(
            view,
            Listing(self.query, self.pages[-1]),
            self.page_size,
            self.job_id,
            self.marks,
            self.shows_details,
            self.is_frozen,
            self.log_of,
            self.every,
        )

    @property
    def view(self) -> Place:
        """What is behind the help, if it shows."""
        if self.place is not Place.HELP:
            return self.place
        return self.back[-1] if self.back else Place.JOBS

    @property
    def is_current(self) -> bool:
        """Whether the snapshot shows the view and page that are asked for, though perhaps more or less of it."""
        if self.snapshot is None or self.snapshot.request.place is not self.view:
            return False
        return self.view is not Place.JOBS or self.snapshot.request.listing == self.request.listing

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs on the page, no more than it has room for; empty before the first is read."""
        return self.snapshot.page.items[: self.page_size] if self.snapshot else ()

    @property
    def consumers(self) -> tuple[ConsumerInfo, ...]:
        """Every known consumer; empty before the first snapshot."""
        return self.snapshot.consumers if self.snapshot else ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of a view other than the jobs, once they are read, as they are sorted."""
        if self.snapshot is None or not self.is_current:
            return ()
        return sorted_rows(self.snapshot.rows, VIEWS[self.view].heads, self.sorts.get(self.view))

    @property
    def row_number(self) -> int:
        """Where the cursor is among the rows; 0 if there is none."""
        keys = [row.key for row in self.rows]
        key = self.cursors.get(self.view)
        return keys.index(key) if key in keys else 0

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor of a view other than the jobs."""
        return self.rows[self.row_number] if self.rows else None

    @property
    def selected(self) -> Job | None:
        """The selected job as it was last read, on the page or off it; with its secrets if they are to be seen."""
        if self.revealed is not None and self.revealed.id == self.job_id:
            return self.revealed
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
        if not snapshot.request.is_detailed:
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
