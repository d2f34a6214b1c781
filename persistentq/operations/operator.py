"""Somebody who operates a queue: what they may do, and that all of it is noted under their name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from persistentq.acts import IMPORT, Act
from persistentq.acts_interface import TRASH_KEPT
from persistentq.errors import ScheduleNotFound
from persistentq.interface import PersistentQInterface
from persistentq.job import Attempt, Job, NewJob, Page, QueueInfo
from persistentq.job_log import JobLog
from persistentq.journal import JournalEntry, JournalPage
from persistentq.operations import acting, exporting, importing
from persistentq.operations.acting import MOST, ActResult, OnProgress, Preview
from persistentq.operations.actor import Actor
from persistentq.operations.attention import Alert, attention
from persistentq.operations.exporting import Chosen
from persistentq.operations.formats import Format
from persistentq.operations.importing import ImportPreview, ImportResult
from persistentq.operations.mishaps import DAY, Errors, errors
from persistentq.operations.surroundings import Surroundings
from persistentq.operations.why import Fact, why
from persistentq.query import Query, parse, unparse
from persistentq.redaction import Redaction
from persistentq.schedule import Schedule, ScheduleInfo

if TYPE_CHECKING:
    from persistentq.settings import Settings


class Operator(Actor):
    """One person, or one program, at one face of a queue.

    Args:
        queue: What is operated.
        actor: Who; None for the user's name and the host's.
        face: From where: cli, manager, dashboard or library.
        readonly: Refuse every change.
        redaction: What of a job is kept from view.
        trash: For how long a deleted job can be brought back.
    """

    def __init__(
        self,
        queue: PersistentQInterface,
        *,
        actor: str | None = None,
        face: str = "library",
        readonly: bool = False,
        redaction: Redaction | None = None,
        trash: timedelta = TRASH_KEPT,
    ) -> None:
        super().__init__(actor, face, readonly=readonly)
        self.queue, self.trash = queue, trash
        self.redaction = Redaction() if redaction is None else redaction

    @classmethod
    def with_settings(
        cls,
        queue: PersistentQInterface,
        settings: Settings,
        *,
        face: str,
        actor: str | None = None,
        readonly: bool = False,
    ) -> Operator:
        """Return an operator as the settings want it; `readonly` adds to what they say."""
        return cls(
            queue,
            actor=actor,
            face=face,
            readonly=readonly or settings.is_readonly,
            redaction=Redaction(settings.redacted),
            trash=settings.trash,
        )

    # --- acts

    def preview(
        self,
        act: Act,
        *,
        ids: Iterable[int] | None = None,
        where: Query | str | None = None,
        limit: int = MOST,
    ) -> Preview:
        """Look which jobs an act would change, without changing any; see `acting.preview`.

        Raises:
            InvalidArgument, InvalidQuery: which jobs are meant cannot be read.
        """
        found = acting.preview(self.queue, act, ids=ids, where=where, limit=limit)
        show = self.redaction.job
        return replace(
            found,
            sample=tuple(self.redaction.jobs(found.sample)),
            oldest=found.oldest and show(found.oldest),
            newest=found.newest and show(found.newest),
        )

    def apply(
        self,
        chosen: Preview,
        *,
        reason: str = "",
        expect: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> ActResult:
        """Do it to the jobs of a preview; see `acting.apply`.

        Raises:
            ReadOnlyMode: nothing may be changed from here.
            CountDiffers: another number of jobs than `expect` is meant.
            StorageError: the database failed before any job was reached.
        """
        self.may(chosen.act.verb)
        return acting.apply(
            self.queue, chosen, self.note(reason), expect=expect, on_progress=on_progress, trash=self.trash
        )

    def act(self, act: Act, ids: Iterable[int], *, reason: str = "") -> ActResult:
        """Do it at once to the jobs named; raises as `preview` and `apply` do."""
        return self.apply(Preview(act, ids=sorted(set(ids))), reason=reason)

    def undo(self, entry: int, *, reason: str = "", on_progress: OnProgress | None = None) -> ActResult:
        """Take back what an entry of the journal tells of, as far as nothing happened since.

        Raises:
            ReadOnlyMode: nothing may be changed from here.
            EntryNotFound: there is no such entry.
            NothingToUndo: it tells of no job that was changed.
        """
        self.may("undo")
        return acting.undo(self.queue, entry, self.note(reason), on_progress=on_progress, trash=self.trash)

    def write_journal(self, verb: str, details: Mapping[str, Any] | None = None, *, reason: str = "") -> int:
        """Note an act that is done elsewhere, such as scaling; return its entry.

        Raises:
            ReadOnlyMode: nothing may be changed from here.
        """
        self.may(verb)
        return self.queue.write_journal(verb, self.note(reason), details)

    def pause_queue(self, queue: str, *, lasting: timedelta | None = None, reason: str = "") -> QueueInfo:
        """Hand out no more jobs of this queue, and note it in the same transaction.

        Raises:
            ReadOnlyMode: nothing may be changed from here.
        """
        self.may("pause")
        return self.queue.pause_queue(queue, lasting=lasting, note=self.note(reason))

    def resume_queue(self, queue: str, *, reason: str = "") -> QueueInfo:
        """Hand out the queue's jobs again, and note it in the same transaction.

        Raises:
            ReadOnlyMode: nothing may be changed from here.
        """
        self.may("resume")
        return self.queue.resume_queue(queue, note=self.note(reason))

    def enqueue(self, new: NewJob, *, reason: str = "") -> Job:
        """Enqueue one job, which undo takes back while nobody has taken it.

        Returns:
            It, as it may be seen; or the unfinished one that has its unique key already, with `duplicate` set.

        Raises:
            ReadOnlyMode: nothing may be changed from here.
            PayloadError: the arguments are not bounded JSON.
        """
        self.may("enqueue")
        details = {"task": new.task, "queue": new.queue}
        batch = self.queue.import_jobs([new], note=self.note(reason), details=details, verb="enqueue")
        if batch.done:
            return self.get_job(batch.done[0])
        (taken,) = batch.skipped.values()
        return replace(self.get_job(taken.job_id), duplicate=True)

    # --- schedules: each deed is noted in its own transaction, and raises as that of the queue does, or ReadOnlyMode

    def has_schedule(self, name: str) -> bool:
        """Return whether there is a schedule of this name."""
        try:
            self.queue.get_schedule(name)
        except ScheduleNotFound:
            return False
        return True

    def put_schedule(self, schedule: Schedule, *, reason: str = "") -> ScheduleInfo:
        """Store a schedule, in the place of one with the same name if there is one."""
        self.may("put-schedule")
        return self.redaction.schedule(self.queue.put_schedule(schedule, note=self.note(reason)))

    def remove_schedule(self, name: str, *, reason: str = "") -> None:
        """Remove a schedule for ever."""
        self.may("remove-schedule")
        self.queue.remove_schedule(name, note=self.note(reason))

    def pause_schedule(self, name: str, *, reason: str = "") -> ScheduleInfo:
        """Let a schedule enqueue nothing until it is resumed."""
        self.may("pause-schedule")
        return self.redaction.schedule(self.queue.pause_schedule(name, note=self.note(reason)))

    def resume_schedule(self, name: str, *, reason: str = "") -> ScheduleInfo:
        """Let a schedule tick again."""
        self.may("resume-schedule")
        return self.redaction.schedule(self.queue.resume_schedule(name, note=self.note(reason)))

    def run_schedule(self, name: str, *, reason: str = "") -> Job:
        """Enqueue a schedule's job now."""
        self.may("run-schedule")
        return self.redaction.job(self.queue.run_schedule(name, note=self.note(reason)))

    # --- files

    def choose(self, where: Query | str = "", *, limit: int | None = None) -> Chosen:
        """Freeze which jobs to export; see `exporting.choose`.

        Raises:
            InvalidQuery: `where` cannot be read.
        """
        return exporting.choose(self.queue, parse(where) if isinstance(where, str) else where, limit)

    def export(  # noqa: PLR0913 - what, where to and how, all by name
        self,
        chosen: Chosen,
        target: Path | BinaryIO,
        form: Format,
        *,
        force: bool = False,
        reveal: bool = False,
        reason: str = "",
        on_progress: OnProgress | None = None,
    ) -> int:
        """Write the chosen jobs, as they may be seen, to a new file or an open one; return how many they were.

        Args:
            target: A path is there when all is written, or not at all, and is its owner's alone.
            force: Whether a file may be replaced; the queue's own never is.
            reveal: With secrets; that they were taken out is noted first.

        Raises:
            ReadOnlyMode: a revealing export could not be noted.
            InvalidArgument: something else has this name.
            ExtraMissing: the format needs a package that is not installed.
        """
        show = _as_it_is if reveal else self.redaction.job
        with exporting.opened(self.queue, target, force=force) as file:
            if reveal:
                self.may("reveal")
                told = replace(self.note(reason), query=unparse(chosen.where))
                self.queue.write_journal("reveal", told, {"jobs": len(chosen.ids)})
            return exporting.export(self.queue, chosen, file, form, show=show, on_progress=on_progress)

    def preview_import(
        self, path: Path, form: Format, *, again: bool = False, repeat: bool = False
    ) -> ImportPreview:
        """Look what importing a file would do, without changing anything; raises as `importing.preview_import` does."""
        return importing.preview_import(self.queue, path, form, again=again, repeat=repeat)

    def import_jobs(
        self, seen: ImportPreview, *, reason: str = "", on_progress: OnProgress | None = None
    ) -> ImportResult:
        """Enqueue the jobs of a file; see `importing.apply_import`.

        Raises:
            ReadOnlyMode: nothing may be changed from here.
            InvalidArgument: the file has a problem, or has changed since.
        """
        self.may(IMPORT)
        return importing.apply_import(self.queue, seen, self.note(reason), on_progress=on_progress)

    # --- what may be seen

    def get_job(self, job_id: int) -> Job:
        """Return a job as it may be seen.

        Raises:
            JobNotFound: there is none.
        """
        return self.redaction.job(self.queue.get_job(job_id))

    def list_jobs(self, **which: Any) -> Page:
        """Return jobs as they may be seen; takes what `PersistentQInterface.list_jobs` takes, and raises as it does."""
        page = self.queue.list_jobs(**which)
        return replace(page, items=tuple(map(self.redaction.job, page.items)))

    def get_attempts(self, job_id: int) -> list[Attempt]:
        """Return a job's attempts as they may be seen; raises as the queue does."""
        return self.redaction.attempts(self.queue.get_attempts(job_id))

    def get_log(self, job_id: int) -> JobLog:
        """Return what a job's tasks have told as it may be seen; raises as the queue does."""
        return self.redaction.log(self.queue.get_log(job_id))

    def list_journal(self, **which: Any) -> JournalPage:
        """Return what operators did as it may be seen; takes what the queue's method takes, and raises as it does."""
        page = self.queue.list_journal(**which)
        return page._replace(items=tuple(map(self.redaction.entry, page.items)))

    def get_entry(self, entry: int) -> JournalEntry:
        """Return one entry of the journal as it may be seen.

        Raises:
            EntryNotFound: there is none.
        """
        return self.redaction.entry(self.queue.get_entry(entry))

    def list_schedules(self) -> list[ScheduleInfo]:
        """Return every schedule as it may be seen, by name."""
        return list(map(self.redaction.schedule, self.queue.list_schedules()))

    def why(self, job_id: int) -> list[Fact]:
        """Return why a job is not running, as it may be seen; see `why.why`."""
        return [replace(fact, text=self.redaction.text(fact.text)) for fact in why(self.queue, job_id)]

    def errors(self, window: timedelta = DAY) -> Errors:
        """Return the failures of the last `window`, grouped, as they may be seen; see `mishaps.errors`."""
        found = errors(self.queue, window)
        groups = [replace(group, error=self.redaction.text(group.error)) for group in found.groups]
        return found._replace(groups=groups)

    def attention(self, around: Surroundings | None = None, *, window: timedelta = DAY) -> list[Alert]:
        """Return what needs a person now, as it may be seen; see `attention.attention`."""
        alerts = attention(self.queue, around, window=window)
        return [replace(alert, text=self.redaction.text(alert.text)) for alert in alerts]

    def reveal(self, job_id: int, *, reason: str = "") -> Job:
        """Return a job with its secrets; that somebody looked is noted first.

        Raises:
            ReadOnlyMode: it could not be noted.
            JobNotFound: there is none.
        """
        self.may("reveal")
        job = self.queue.get_job(job_id)
        self.queue.write_journal("reveal", self.note(reason), {"job": job_id})
        return job


def _as_it_is(job: Job) -> Job:
    return job
