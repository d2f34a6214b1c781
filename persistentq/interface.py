"""The contract of the queue. Its docstrings are the specification; one test suite holds every implementation to it.

What readers and operators may rely on is in `persistentq.operator_interface`, and part of this contract.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from persistentq.acts_interface import ActsInterface
from persistentq.backoff import Backoff
from persistentq.job import Job, NewJob
from persistentq.log_interface import LogInterface
from persistentq.operator_interface import OperatorInterface
from persistentq.schedule_interface import ScheduleInterface
from persistentq.settlement import Settlement, Turn
from persistentq.waiting_interface import WaitingInterface

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


class PersistentQInterface(
    OperatorInterface, ActsInterface, ScheduleInterface, WaitingInterface, LogInterface
):
    """A durable queue of jobs: what producers, consumers and operators may do with it.

    Every method is one transaction and may be called from any thread. Whatever it returns is durable. A method
    raises `InvalidArgument` for a bad argument before anything is written, and `StorageError` when the database
    fails; where the docstring says "may be repeated", calling again after a `StorageUnavailable` is safe.
    """

    # --- producers ---------------------------------------------------------------------------------------------

    def enqueue(  # noqa: PLR0913 - one value each, all by name; design.md fixes the signature
        self,
        task: str,
        args: Mapping[str, Any] | None = None,
        *,
        queue: str = "default",
        priority: int = 0,
        run_at: datetime | None = None,
        delay: timedelta | None = None,
        max_attempts: int | None = None,
        unique_key: str | None = None,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        backoff: Backoff | None = None,
        session: Session | Connection | None = None,
    ) -> Job:
        """Store one job, ready at once or at `run_at` or after `delay`; see `NewJob` for the bounds of each value.

        May be repeated only with a `unique_key`: the first call may have been stored although its reply was lost.

        Args:
            session: The caller's SQLAlchemy Session or Connection on the queue's database. The job then becomes
                visible when the caller commits, and never if the caller rolls back.

        Returns:
            The stored job, `pending` or `scheduled`; or the unfinished job that already holds `unique_key`, with
            `duplicate` set.

        Raises:
            PayloadError: the arguments are not bounded JSON.
        """
        new = NewJob(
            task,
            args or {},
            queue,
            priority,
            run_at,
            delay,
            max_attempts,
            unique_key,
            tuple(tags),
            metadata or {},
            backoff,
        )
        return self.enqueue_many([new], session=session)[0]

    @abstractmethod
    def enqueue_many(
        self, jobs: Iterable[NewJob], *, session: Session | Connection | None = None
    ) -> list[Job]:
        """Store many jobs in one transaction, all or none.

        Returns:
            One Job per NewJob, in order, as `enqueue` returns it; an empty list for no jobs. Of two new jobs with
            the same unique key the later is the duplicate.
        """

    # --- consumers ---------------------------------------------------------------------------------------------

    @abstractmethod
    def dequeue(
        self,
        consumer: str,
        queues: Sequence[str] = ("default",),
        limit: int = 1,
        lease: timedelta | None = None,
    ) -> list[Job]:
        """Lease up to `limit` ready jobs to `consumer`.

        Atomic: two callers never receive the same job. The attempt is counted in this very transaction, so a job
        that kills its worker every time still ends. Before it claims, the call makes due jobs ready and takes back
        jobs whose lease ran out (those with no attempt left become failed); a job whose stored arguments cannot be
        decoded becomes failed instead of being returned.

        Args:
            consumer: The caller's id, unique among living processes.
            queues: Served in this order: a later one only as far as the earlier ones leave room.
            limit: 1 to 1000 jobs.
            lease: How long the jobs are the caller's, more than zero; None for the queue's default.

        Returns:
            0 to `limit` jobs in status processing. Within a queue: highest priority first, then earliest `run_at`,
            then lowest id. Jobs reserved for another consumer are passed by.
        """

    @abstractmethod
    def complete(self, job: Job, result: Any = None, *, session: Session | Connection | None = None) -> None:
        """Mark a held job done.

        May be repeated: a job that this very attempt has completed already is accepted silently.

        Args:
            job: As `dequeue` returned it.
            result: JSON to keep with the job, at most 1 MiB.
            session: As for `enqueue`: the caller's effects and the completion commit together.

        Raises:
            LeaseLost: the job is not held by this consumer at this attempt any more; it is left untouched.
            PayloadError: the result is not bounded JSON.
        """

    @abstractmethod
    def complete_many(self, jobs: Iterable[Job]) -> list[Job]:
        """Mark held jobs done, in one transaction.

        Returns:
            The jobs that were refused because their lease was lost; empty if none.
        """

    @abstractmethod
    def fail(
        self,
        job: Job,
        error: BaseException | str,
        *,
        retry: bool = True,
        delay: timedelta | None = None,
    ) -> Job:
        """Record that a held job's attempt failed.

        The job becomes scheduled for its next attempt; failed if its attempts are spent or `retry` is false;
        cancelled if that was requested meanwhile. The error is kept with the attempt, its text and traceback capped.

        Args:
            delay: Until the next attempt; None for the job's own backoff, else the default one.

        Returns:
            The job as it is now.

        Raises:
            LeaseLost: as for `complete`.
        """

    @abstractmethod
    def snooze(self, job: Job, delay: timedelta) -> Job:
        """Give a held job back until `delay` has passed, without counting the attempt.

        Raises:
            LeaseLost: as for `complete`.
        """

    @abstractmethod
    def release(self, jobs: Iterable[Job]) -> list[Job]:
        """Give held jobs back to be taken at once, without counting the attempt.

        Returns:
            The jobs that were refused because their lease was lost; empty if none. May be repeated.
        """

    @abstractmethod
    def turn(  # noqa: PLR0913 - what a consumer says and asks at once, all by name
        self,
        consumer: str,
        *,
        settled: Sequence[Settlement] = (),
        held: Sequence[Job] = (),
        watch: bool = False,
        queues: Sequence[str] = ("default",),
        limit: int = 0,
        lease: timedelta | None = None,
    ) -> Turn:
        """Settle what ended, renew what runs, see what is to be cancelled, and claim: a consumer's turn.

        What is said of jobs and what is claimed is committed together; only where something is overdue, or stored
        arguments cannot be decoded, does the claim follow in a transaction of its own. May be repeated: a completion
        that was made already is accepted, any other word that was heard already is refused and changes nothing.

        Args:
            settled: Each is heard as the method of the same name is, and refused if its job is not held any more;
                `cancel` makes the job cancelled, with the reason as its error.
            held: The jobs whose leases to renew, as `extend` does.
            watch: Whether to see which of the consumer's jobs are to be cancelled.
            queues: As for `dequeue`.
            limit: 0 to 1000 jobs to claim.
            lease: For the renewed and the claimed; None for the queue's default.
        """

    @abstractmethod
    def completing(self, job: Job, result: Any = None) -> AbstractContextManager[Session]:
        """Give a Session on the queue's database for the effects of a held job, which commit with its completion.

        The job is marked done at the end of the block, in the Session's transaction; if the block raises, or the
        lease was lost, nothing of it is kept.

        Raises:
            LeaseLost: at the end: as for `complete`.
            PayloadError: at the beginning: the result is not bounded JSON.
            InvalidArgument: this queue is not in a database.
        """

    @abstractmethod
    def extend(self, jobs: Iterable[Job], lease: timedelta | None = None) -> list[Job]:
        """Renew the leases of held jobs, from now.

        Returns:
            The jobs that are still held, as they are now (see `cancel_requested`), in the order given. One that is
            absent was lost: stop working on it. May be repeated.
        """

    @abstractmethod
    def guard(self, job: Job, *, session: Session | Connection) -> None:
        """Make sure, within the caller's transaction, that the job is still held, until that transaction ends.

        Effects that are written in the same transaction are then of the attempt that holds the job: nobody can take
        it before the commit.

        Raises:
            LeaseLost: it is not held any more; let the error end the transaction.
        """

    @abstractmethod
    def heartbeat(  # noqa: PLR0913 - what a consumer says of itself, all by name
        self,
        consumer: str,
        *,
        host: str,
        pid: int,
        queues: Sequence[str],
        life: str = "",
        trouble: str | None = None,
        tasks: Sequence[str] | None = None,
    ) -> None:
        """Report that `consumer` is alive; the first call, and the first of another life, introduces it anew.

        Of several that begin with one id at the same moment, one is introduced. A consumer that was killed gives its id
        free at once, as far as that can be seen from here, else once it has been silent for `SILENT_AFTER`. May be
        repeated.

        Args:
            host: 1 to 255 characters.
            life: What tells this start from every other, as `persistentq.life.begin_life` returns it; up to 128
                characters. Without it, another host or process id is another life.
            trouble: What is wrong with it, for people to see; up to 500 characters.
            tasks: The names of the tasks that it can run; None if it does not say.

        Raises:
            ConsumerAlive: another that is alive has this id; nothing was changed.
        """

    @abstractmethod
    def retire(self, consumer: str, *, life: str | None = None, trouble: str | None = None) -> None:
        """Report that `consumer` has stopped in good order. An unknown one is ignored. May be repeated.

        Args:
            life: Unless it is this one's, the consumer's id belongs to another by now, who is left alone; None for
                whoever has it.
            trouble: As for `heartbeat`.
        """

    @abstractmethod
    def cleanup(self, limit: int = 1000) -> int:
        """Make due jobs ready and take back expired leases now, up to `limit` of each; forget long-gone consumers.

        Every `dequeue` does the same first, so nothing depends on this call.

        Returns:
            How many jobs changed. May be repeated.
        """

    # --- life --------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the jobs are, fit to be shown: a path or a URL without its password."""

    @property
    @abstractmethod
    def address(self) -> str | None:
        """What another process opens this queue with: never shown, as it holds the password; None if none can."""

    @abstractmethod
    def close(self) -> None:
        """Let go of every connection. May be repeated; a closed queue must not be used."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
