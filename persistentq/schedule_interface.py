"""The part of the contract that is about schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta

from persistentq.job import Job
from persistentq.journal import ActNote
from persistentq.schedule import Schedule, ScheduleInfo


class ScheduleInterface(ABC):
    """What may be done with schedules, which are stored beside the jobs; part of PersistentQInterface.

    With a `note`, who does it, and why, stands in the journal, in the same transaction; None for no entry in it.
    """

    @abstractmethod
    def put_schedule(self, schedule: Schedule, *, note: ActNote | None = None) -> ScheduleInfo:
        """Store a schedule, in the place of one with the same name if there is one.

        One that is put again as it was goes on undisturbed, so that a program may put its schedules at each start.
        A change of `expression` or `zone` lets the next tick be found anew, from now; whatever else changes is used
        from the next tick on. A pause lasts, and an `error` is forgotten. May be repeated.
        """

    @abstractmethod
    def get_schedule(self, name: str) -> ScheduleInfo:
        """Return the schedule.

        Raises:
            ScheduleNotFound: there is none of this name.
        """

    @abstractmethod
    def list_schedules(self) -> list[ScheduleInfo]:
        """Return every schedule, by name."""

    @abstractmethod
    def remove_schedule(self, name: str, *, note: ActNote | None = None) -> None:
        """Remove a schedule for ever; the jobs that it has enqueued stay.

        Raises:
            ScheduleNotFound: there is none of this name.
        """

    @abstractmethod
    def pause_schedule(self, name: str, *, note: ActNote | None = None) -> ScheduleInfo:
        """Let the schedule enqueue nothing until `resume_schedule`. May be repeated.

        Raises:
            ScheduleNotFound: there is none of this name.
        """

    @abstractmethod
    def resume_schedule(self, name: str, *, note: ActNote | None = None) -> ScheduleInfo:
        """Let the schedule tick again; its `catch_up` says what becomes of the ticks since the pause. May be repeated.

        Raises:
            ScheduleNotFound: there is none of this name.
        """

    @abstractmethod
    def run_schedule(self, name: str, *, note: ActNote | None = None) -> Job:
        """Enqueue the schedule's job now, besides its ticks and even while it is paused.

        Returns:
            The job; of a `unique` schedule whose last job is unfinished that one, with `duplicate` set.

        Raises:
            ScheduleNotFound: there is none of this name.
            InvalidArgument: its task or arguments cannot be used any more.
        """

    @abstractmethod
    def tick(self, limit: int = 100) -> list[Job]:
        """Enqueue what the schedules' ticks ask for that have come due by the database's clock.

        Each tick is done with once, however many processes call this and however they end: its job and the schedule's
        next tick are stored in one transaction. A schedule that cannot be read here is marked with the error, tried
        again in a minute, and disturbs no other.

        Args:
            limit: 1 to 1000 jobs; ticks for which there is no room stay due.

        Returns:
            The jobs that were stored, those of the longest due schedule first; none for a tick that found the job
            of a `unique` schedule unfinished. May be repeated.
        """

    @abstractmethod
    def next_tick(self) -> timedelta | None:
        """Return the time until a schedule must be looked at: zero if one is due, None if none ever will be."""
