"""The part of the contract that readers and operators use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta

from persistentq.errors import InvalidArgument
from persistentq.insight_interface import InsightInterface
from persistentq.job import ActivityBucket, Attempt, ConsumerInfo, Count, Job, JobStatus, Page, QueueInfo
from persistentq.journal import ActNote
from persistentq.query import EVERY_JOB, Query
from persistentq.selection import StatusFilter, selected


class OperatorInterface(InsightInterface):
    """What may be asked of the queue, and what an operator may do; part of PersistentQInterface."""

    # --- readers

    @abstractmethod
    def get_job(self, job_id: int) -> Job:
        """Return the job.

        Raises:
            JobNotFound: there is none.
        """

    @abstractmethod
    def get_attempts(self, job_id: int) -> list[Attempt]:
        """Return the job's attempts, oldest first, the running one included; empty for one never taken.

        Raises:
            JobNotFound: there is no such job.
        """

    def list_jobs(  # noqa: PLR0913 - one filter each, all by name
        self,
        *,
        status: StatusFilter = None,
        queue: str | None = None,
        task: str | None = None,
        consumer: str | None = None,
        tag: str | None = None,
        error: str | None = None,
        min_attempts: int | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        where: Query | str = EVERY_JOB,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Return jobs that match every filter given, newest first.

        Args:
            status: One or several of JobStatus or their names; None for all.
            queue: In this queue. In this and the next two, `*` stands for anything.
            task: Of this task.
            consumer: Who holds it, held it last, or has it reserved.
            tag: One of its tags is this.
            error: Its latest error contains this text; A to Z in either case.
            min_attempts: It was claimed at least so often.
            created_from: Enqueued at this time or later.
            created_before: Enqueued before this time.
            where: A query, as text in the query language or as `parse` returns it.
            limit: 1 to 1000.
            after: The `next` of an earlier page. Pages are stable: no job is repeated or passed over because of
                jobs that come or go between two calls.

        Returns:
            0 to `limit` jobs; `next` is None when there are no more.
        """
        wanted = selected(
            status=status,
            queue=queue,
            task=task,
            consumer=consumer,
            tag=tag,
            error=error,
            min_attempts=min_attempts,
            created_from=created_from,
            created_before=created_before,
            where=where,
        )
        return self.find_jobs(wanted, limit=limit, after=after)

    @abstractmethod
    def find_jobs(
        self, where: Query, *, among: Sequence[int] | None = None, limit: int = 100, after: str | None = None
    ) -> Page:
        """Return the jobs that `where` means, as `list_jobs` does.

        Args:
            among: Only these, 500 at most.
        """

    @abstractmethod
    def count_matching(self, where: Query, *, up_to: int = 10_000) -> Count:
        """Return how many jobs `where` means, counted no further than `up_to` (1 to 1,000,000)."""

    @abstractmethod
    def get_pending_jobs(self, queue: str = "default", limit: int = 100) -> list[Job]:
        """Return up to `limit` jobs of the queue that are ready, in the order in which they will leave."""

    @abstractmethod
    def count_jobs(self) -> dict[str, dict[JobStatus, int]]:
        """Return how many jobs each queue has in each status; statuses without jobs and empty queues are absent."""

    @abstractmethod
    def list_consumers(self) -> list[ConsumerInfo]:
        """Return every consumer that reported and is not forgotten yet, by id."""

    @abstractmethod
    def activity(self, window: timedelta, buckets: int) -> list[ActivityBucket]:
        """Return what ended within the last `window`, in `buckets` equal spans (1 to 1000), oldest first."""

    # --- operators

    @abstractmethod
    def resubmit(self, job_id: int) -> Job:
        """Make a failed or cancelled job pending again, with as many further attempts as it was enqueued with.

        Raises:
            JobNotFound: there is none.
            InvalidTransition: it has another status, or an unfinished job holds its unique key by now.
        """

    @abstractmethod
    def cancel(self, job_id: int) -> Job:
        """Cancel a scheduled or pending job at once; ask for it if it is processing.

        A processing job becomes cancelled when its attempt ends in any other way than by completion.

        Raises:
            JobNotFound: there is none.
            InvalidTransition: it is finished.
        """

    @abstractmethod
    def mark_failed(self, job_id: int, reason: str) -> Job:
        """Make an unfinished job failed; a processing one is taken from its consumer.

        Raises:
            JobNotFound: there is none.
            InvalidTransition: it is finished.
        """

    @abstractmethod
    def assign_job(self, job_id: int, consumer: str | None) -> Job:
        """Reserve an unfinished job's next attempt for `consumer`, or for anyone with None.

        A processing job is taken from its consumer, whose later word is refused, and that attempt does not count.

        Raises:
            JobNotFound: there is none.
            InvalidTransition: it is finished.
        """

    def update_status(self, job_id: int, status: JobStatus | str) -> Job:
        """Change a job's status as an operator: pending resubmits it, cancelled cancels it, failed marks it failed.

        Raises:
            InvalidArgument: no operator can set this status.
            JobNotFound: there is none.
            InvalidTransition: the state machine has no such arrow.
        """
        match status:
            case JobStatus.PENDING:
                return self.resubmit(job_id)
            case JobStatus.CANCELLED:
                return self.cancel(job_id)
            case JobStatus.FAILED:
                return self.mark_failed(job_id, "marked failed by an operator")
        raise InvalidArgument("status", status, "cannot be set by hand; pending, cancelled and failed can")

    @abstractmethod
    def delete_job(self, job_id: int) -> None:
        """Remove a job and its attempts for ever.

        Raises:
            JobNotFound: there is none.
            InvalidTransition: it is processing.
        """

    @abstractmethod
    def delete_jobs(
        self,
        *,
        status: StatusFilter = None,
        queue: str | None = None,
        up_to: int | None = None,
        limit: int = 1000,
    ) -> int:
        """Remove up to `limit` jobs that match the filters given, never a processing one.

        Args:
            up_to: Only jobs with this id or a lower one.

        Returns:
            How many were removed; 0 when none is left. May be repeated.
        """

    @abstractmethod
    def prune_jobs(
        self,
        status: JobStatus | str,
        *,
        older_than: timedelta | None = None,
        keep: int | None = None,
        limit: int = 1000,
    ) -> int:
        """Remove up to `limit` jobs of a finished status that retention no longer wants, those finished first first.

        Args:
            status: done, failed or cancelled.
            older_than: Remove those that finished longer ago than this.
            keep: Remove all but this many of the last to finish.

        Returns:
            How many were removed; 0 when none is left. May be repeated.

        Raises:
            InvalidArgument: neither rule is given, or the status is an unfinished one.
        """

    @abstractmethod
    def pause_queue(
        self, queue: str, *, lasting: timedelta | None = None, note: ActNote | None = None
    ) -> QueueInfo:
        """Hand out no more jobs of this queue; those that are processing go on. May be repeated.

        Args:
            lasting: The pause ends by itself after this; None for until `resume_queue`.
            note: Who does it, and why, for the journal; None for no entry in it.
        """

    @abstractmethod
    def resume_queue(self, queue: str, *, note: ActNote | None = None) -> QueueInfo:
        """Hand out the queue's jobs again, noted as `pause_queue` is. May be repeated."""

    @abstractmethod
    def list_queues(self) -> list[QueueInfo]:
        """Return every queue that has a job or a pause, by name."""
