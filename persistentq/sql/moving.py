"""Moving a live queue to another database.

The order is what makes it safe. The copy is marked as incomplete before its first row, and nobody opens it. While
nobody can write to the queue, it is copied and compared; the same transaction then closes it for good. That commit is
the moment of the move. Only after it does the copy lose its mark. Whoever is killed before it leaves the queue as it
was, and whoever is killed after it leaves a closed queue and a whole copy, which the next call makes live.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from persistentq.clock import Deadline
from persistentq.copies_interface import Moved, MovePlan, OnStage, Stage
from persistentq.errors import CopyRefused, QueueIncomplete, QueueMoved, StorageError
from persistentq.job import JobStatus, Outcome
from persistentq.journal import ActNote
from persistentq.life import begin_life, end_life
from persistentq.sql.copying import (
    TABLES,
    check_copy,
    copy_numbers,
    copy_tables,
    count_rows,
    empty_tables,
    first_filled,
    last_numbers,
)
from persistentq.sql.journal import open_entry
from persistentq.sql.models import HELD, JobRow
from persistentq.sql.schema import VERSION, Standing, version_of
from persistentq.sql.settling import WITHOUT_PAYLOAD, give_back, note
from persistentq.sql.side import Mark, Side

SIGN_S = 2.0
"""So often a mover gives a sign: well within the time for which its last one counts."""

LOOK_S = 0.1


def check_source(source: Side, connection: Connection, life: str = "") -> None:
    """Make sure that the queue can be moved from here, by the mover of this life.

    Raises:
        DatabaseMissing, SchemaMismatch, QueueMoved, QueueIncomplete: there is no queue here, or it is live elsewhere.
        CopyRefused: another moves it.
    """
    source.check_version(connection)
    found = source.mark(connection)
    if found.standing is Standing.INCOMPLETE:
        raise QueueIncomplete(source.location, found.other)
    if found.standing is Standing.MOVED:
        raise QueueMoved(source.location, found.other)
    if found.is_underway and found.mover != life:
        raise CopyRefused(
            f"{source.location} is being moved to {found.other} already", "wait until that has ended"
        )


def check_target(target: Side, connection: Connection, source: Side, life: str = "") -> None:
    """Make sure that the target is empty, or an unfinished copy of this very queue.

    Raises:
        CopyRefused: it is neither.
    """
    where = target.location
    if where == source.location:
        raise CopyRefused(f"{where} is where the queue is", "name another database")
    if version_of(connection) is None:
        return
    target.check_version(connection)
    found = target.mark(connection)
    if life and found.mover == life:
        raise CopyRefused(f"{where} is where the queue is", "name another database")
    if found.is_underway:
        raise CopyRefused(f"{where} is in use by another move", "wait until that has ended")
    if found.standing is Standing.INCOMPLETE:
        if found.other != source.location:
            problem = f"{where} is an unfinished copy of {found.other}"
            raise CopyRefused(problem, "name an empty database, or run that move again")
    elif found.standing is not None:
        raise CopyRefused(f"{where} has held a queue that has moved on", "name an empty database")
    elif (filled := first_filled(connection)) is not None:
        raise CopyRefused(f"{where} is not empty: {filled} has rows", "name an empty database")


def plan(source: Side, target: Side | None, where: str) -> MovePlan:
    """Look what there is to move, and whether it can be; `target` is None if it is still to be made."""
    with source.reading() as connection:
        check_source(source, connection)
        rows, held = count_rows(connection), source.count_held(connection)
    if target is not None:
        with target.reading() as connection:
            check_target(target, connection, source)
    return MovePlan(source.location, where, rows, held)


class Move:
    """One queue on its way from one database to another."""

    def __init__(self, source: Side, target: Side, on_stage: OnStage) -> None:
        self._source, self._target, self._on_stage = source, target, on_stage
        self._life = ""
        self._next_sign = Deadline(0)

    def run(self, said: ActNote, drain: timedelta, *, release: bool) -> Moved:
        """Move it; see CopiesInterface.move."""
        if self._is_decided():
            return self._make_live({}, 0)
        self._check_both()
        self._life = begin_life()
        try:
            self._stop_claims()
            self._drain(drain, release=release)
            self._take_target()
            rows, released = self._copy_and_close(said, release=release)
        except BaseException:
            self._undo()
            raise
        finally:
            end_life(self._life)
        self._on_stage(Stage.MOVED, 0, 0)
        return self._make_live(rows, released)

    # --- what there is

    def _is_decided(self) -> bool:
        """Return whether an earlier call has closed the source, so that only the copy's mark may be left.

        Raises:
            QueueMoved: it went elsewhere, or the copy has gone on from there.
        """
        with self._source.reading() as connection:
            self._source.check_version(connection)
            here = self._source.mark(connection)
        if here.standing is not Standing.MOVED:
            return False
        with self._target.reading() as connection:
            is_copy = version_of(connection) == VERSION and self._is_copy_of(here, connection)
        if not is_copy:
            raise QueueMoved(self._source.location, here.other)
        return True

    def _is_copy_of(self, here: Mark, connection: Connection) -> bool:
        there = self._target.mark(connection)
        return there.mover == here.mover and there.standing in {Standing.INCOMPLETE, None}

    def _check_both(self) -> None:
        """Refuse at once what would be refused after running jobs were waited for."""
        with self._source.reading() as connection:
            check_source(self._source, connection)
        with self._target.reading() as connection:
            check_target(self._target, connection, self._source)

    # --- the steps

    def _stop_claims(self) -> None:
        source = self._source
        with source.writing() as connection:
            check_source(self._source, connection, self._life)
            source.gates.stop_claims(connection)
            source.set_mark(connection, Standing.MOVING, self._target.location, self._life)
        self._on_stage(Stage.STOPPED, 0, 0)

    def _drain(self, drain: timedelta, *, release: bool) -> None:
        """Wait until no job runs."""
        limit = Deadline(drain.total_seconds())
        while (held := self._count_held()) and not limit.passed:
            self._on_stage(Stage.STOPPED, held, held)
            self._give_sign(self._source)
            limit.pause(LOOK_S)
        if held and not release:
            self._refuse_running(held)
        self._on_stage(Stage.DRAINED, 0, 0)

    def _count_held(self) -> int:
        with self._source.reading() as connection:
            return self._source.count_held(connection)

    def _refuse_running(self, held: int) -> None:
        problem = f"{held} {'job is' if held == 1 else 'jobs are'} still running"
        raise CopyRefused(problem, "wait longer with --drain, or give them back with --release")

    def _give_sign(self, side: Side) -> None:
        if self._next_sign.passed:
            side.give_sign()
            self._next_sign = Deadline(SIGN_S)

    def _take_target(self) -> None:
        target = self._target
        with target.making() as connection:
            check_target(target, connection, self._source, self._life)
            empty_tables(connection)
            target.set_mark(connection, Standing.INCOMPLETE, self._source.location, self._life)
        self._on_stage(Stage.TAKEN, 0, 0)

    def _copy_and_close(self, said: ActNote, *, release: bool) -> tuple[Mapping[str, int], int]:
        source, target = self._source, self._target
        with source.holding() as connection:
            self._check_mine(connection)
            self._on_stage(Stage.HELD, 0, 0)
            released = self._end_leases(connection, release=release)
            self._write_journal(connection, said)
            rows = self._copy(connection)
            source.gates.allow_claims(connection)
            source.gates.close(connection, TABLES, target.location)
            source.set_mark(connection, Standing.MOVED, target.location, self._life)
            self._on_stage(Stage.CHECKED, 0, 0)
        return rows, released

    def _check_mine(self, connection: Connection) -> None:
        check_source(self._source, connection, self._life)
        if self._source.mark(connection).mover != self._life:
            problem = f"{self._source.location} was taken over by another move"
            raise CopyRefused(problem, "see what became of that one")

    def _end_leases(self, connection: Connection, *, release: bool) -> int:
        """Give the running jobs back, if that is wanted; return how many."""
        if held := self._source.count_held(connection):
            if not release:
                self._refuse_running(held)
            with Session(connection) as session:
                now = self._source.now(connection)
                lasting = select(JobRow).options(*WITHOUT_PAYLOAD).where(HELD, JobRow.lease_until > now)
                for row in session.scalars(lasting):
                    note(session, row, Outcome.RELEASED, now)
                    give_back(row, JobStatus.PENDING, now)
                session.flush()
        return held

    def _write_journal(self, connection: Connection, said: ActNote) -> None:
        details = {"from": self._source.location, "to": self._target.location}
        with Session(connection) as session:
            open_entry(session, said, "graduate", details, self._source.now(connection))

    def _copy(self, connection: Connection) -> Mapping[str, int]:
        """Copy and compare; return how many rows each table has."""
        source, target = self._source, self._target
        total = sum(count_rows(connection).values())

        def tell_copied(done: int) -> None:
            self._give_sign(target)
            self._on_stage(Stage.COPYING, done, total)

        def tell_compared(done: int) -> None:
            self._on_stage(Stage.CHECKING, done, total)

        read = copy_tables(connection, target.write, tell_copied)
        with target.writing() as copy:
            copy_numbers(last_numbers(connection, source.gates), copy, target.gates)
        with target.reading() as copy:
            check_copy(copy, target.location, read, tell_compared)
        return {name: tally.rows for name, tally in read.items()}

    def _make_live(self, rows: Mapping[str, int], released: int) -> Moved:
        """Take the copy's mark away, but for the mover: a later call knows the copy by it."""
        with self._target.writing() as connection:
            mover = self._target.mark(connection).mover
            self._target.set_mark(connection, None, None, mover)
        self._on_stage(Stage.PLACED, 0, 0)
        return Moved(self._source.location, self._target.location, rows, released)

    def _undo(self) -> None:
        """Leave the queue as it was, unless it has moved all the same, and the target empty."""
        with suppress(StorageError):
            with self._source.writing() as connection:
                found = self._source.mark(connection)
                if (found.standing, found.mover) != (Standing.MOVING, self._life):
                    return
                self._source.gates.allow_claims(connection)
                self._source.set_mark(connection, None, None, None)
            self._leave_target()

    def _leave_target(self) -> None:
        with self._target.reading() as connection:
            if version_of(connection) != VERSION:
                return
        with self._target.writing() as connection:
            if self._target.mark(connection).mover == self._life:
                empty_tables(connection)
                self._target.set_mark(connection, None, None, None)
