"""Which jobs a query means, newest first: by index where there is one, else job by job, within bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, func, select, union_all

from persistentq.acts import IdPage
from persistentq.job import Count, Job, JobStatus, Page
from persistentq.query import All, Query, Term, matches
from persistentq.sql.conditions import condition, split
from persistentq.sql.models import LISTED, JobRow
from persistentq.sql.rows import to_job

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SCAN = 100_000
"""So many jobs, of those that an index finds, are looked at one by one for what no index knows."""

CHUNK = 1_000


class Search:
    """One query in one read-only transaction.

    Args:
        now: When it is asked.
        below: Only jobs with lower ids; None for all.
        among: Only these; None for all.
    """

    def __init__(
        self,
        session: Session,
        where: Query,
        now: datetime,
        below: int | None = None,
        among: Sequence[int] | None = None,
    ) -> None:
        indexed, rest = split(where)
        self._session, self._where, self._now = session, where, now
        self._known: list[ColumnElement[bool]] = [LISTED, condition(indexed, now).clause]  # type: ignore[list-item]
        if below is not None:
            self._known.append(JobRow.id < below)
        if among is not None:
            self._known.append(JobRow.id.in_(among))
        self._is_of_queue = _is_of_queue(indexed)
        self._is_indexed = rest == All()
        self._rest = condition(rest, now)
        self._floor = None if self._is_indexed else self._find_floor()
        self._wanted = [*self._known, self._rest.clause]
        if self._floor is not None:
            self._wanted.append(JobRow.id > self._floor)

    def _find_floor(self) -> int | None:
        """Return the id at which the search ends; None if there are not as many jobs."""
        ids = self._newest(self._known, SCAN + 1)
        return self._session.scalars(ids.offset(SCAN).limit(1)).one_or_none()

    def _newest(self, wanted: Sequence[ColumnElement[bool]], limit: int) -> Select[int]:
        """Return the statement for the ids of the first so many jobs.

        A queue's index is ordered by status first: without this, all of a queue's jobs would be sorted for one page.
        """
        ids = select(JobRow.id).where(*wanted).order_by(JobRow.id.desc()).limit(limit)
        if not self._is_of_queue:
            return ids
        parts = [ids.where(JobRow.status == status).subquery() for status in JobStatus]
        merged = union_all(*(select(part.c.id) for part in parts)).subquery()
        return select(merged.c.id).order_by(merged.c.id.desc()).limit(limit)

    def page(self, limit: int) -> Page:
        """Return the first so many jobs."""
        found = list(islice(self._jobs(limit + 1), limit + 1))
        page = tuple(found[:limit])
        if len(found) > limit:
            return Page(page, str(page[-1].id), self._scanned(page[-1].id))
        return Page(page, None if self._floor is None else str(self._floor + 1), self._scanned(1))

    def ids(self, limit: int) -> IdPage:
        """Return the ids of the first so many jobs, with their statuses."""
        if self._rest.is_exact:
            rows = select(JobRow.id, JobRow.status).where(*self._first(limit + 1)).order_by(JobRow.id.desc())
            found = [
                (job_id, JobStatus(status)) for job_id, status in self._session.execute(rows.limit(limit + 1))
            ]
        else:
            found = [(job.id, job.status) for job in islice(self._jobs(limit + 1), limit + 1)]
        page = tuple(found[:limit])
        if len(found) > limit:
            return IdPage(page, str(page[-1][0]))
        return IdPage(page, None if self._floor is None else str(self._floor + 1))

    def _first(self, number: int) -> Sequence[ColumnElement[bool]]:
        """Return the conditions that at least the first so many of the jobs fulfil, and nothing but those wanted."""
        return [JobRow.id.in_(self._newest(self._wanted, number))] if self._is_of_queue else self._wanted

    def _jobs(self, enough: int) -> Iterator[Job]:
        if self._rest.is_exact:
            rows = select(JobRow).where(*self._first(enough)).order_by(JobRow.id.desc()).limit(enough)
            yield from map(to_job, self._session.scalars(rows).all())
            return
        below: list[Any] = []
        while True:
            rows = select(JobRow).where(*self._wanted, *below).order_by(JobRow.id.desc()).limit(CHUNK)
            jobs = [to_job(row) for row in self._session.scalars(rows)]
            # What was looked at is not needed again: the session would keep it all.
            self._session.expunge_all()
            yield from (job for job in jobs if matches(self._where, job, self._now))
            if len(jobs) < CHUNK:
                return
            below = [JobRow.id < jobs[-1].id]

    def _scanned(self, down_to: int) -> int | None:
        if self._is_indexed:
            return None
        lowest = max(down_to, 1 if self._floor is None else self._floor + 1)
        ids = select(JobRow.id).where(*self._known, JobRow.id >= lowest).subquery()
        return self._session.scalars(select(func.count()).select_from(ids)).one()

    def count(self, up_to: int) -> Count:
        """Return how many jobs there are, counted no further than `up_to`."""
        if self._rest.is_exact:
            ids = select(JobRow.id).where(*self._wanted).limit(up_to + 1).subquery()
            number = self._session.scalars(select(func.count()).select_from(ids)).one()
        else:
            number = sum(1 for _ in islice(self._jobs(up_to + 1), up_to + 1))
        is_capped = number > up_to or self._floor is not None
        return Count(min(number, up_to), is_capped, self._scanned(1))


def _is_of_queue(query: Query) -> bool:
    """Whether jobs of one queue are asked for, whatever their status."""
    terms = query.parts if isinstance(query, All) else (query,)
    fields = {term.field for term in terms if isinstance(term, Term)}
    return "queue" in fields and not {"status", "id"} & fields
