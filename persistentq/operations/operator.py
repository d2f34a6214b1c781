"""Somebody who operates a queue: what they may do, and that all of it is noted under their name."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from getpass import getuser
from typing import TYPE_CHECKING, Any

from persistentq.acts import Act
from persistentq.acts_interface import TRASH_KEPT
from persistentq.errors import ReadOnlyMode
from persistentq.interface import PersistentQInterface
from persistentq.job import Job, Page, QueueInfo
from persistentq.journal import ActNote
from persistentq.operations import acting
from persistentq.operations.acting import MOST, ActResult, OnProgress, Preview
from persistentq.query import Query
from persistentq.redaction import Redaction

if TYPE_CHECKING:
    from persistentq.settings import Settings


class Operator:
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
        self.queue, self.is_readonly, self.trash = queue, readonly, trash
        self.redaction = Redaction() if redaction is None else redaction
        self._note = ActNote(actor or user_and_host(), face)

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

    def may(self, verb: str) -> None:
        """Do nothing if changes are allowed.

        Raises:
            ReadOnlyMode: they are not.
        """
        if self.is_readonly:
            raise ReadOnlyMode(verb)

    def note(self, reason: str = "") -> ActNote:
        """Return who acts, from where and why, as the journal keeps it."""
        return replace(self._note, reason=reason)

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


def user_and_host() -> str:
    """Return who runs this process and where, as in `ann@mail-1`."""
    try:
        user = getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:200]
