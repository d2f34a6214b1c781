"""Copies of a queue's whole database; see CopiesInterface."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from persistentq.copies_interface import (
    DRAIN,
    Backup,
    CopiesInterface,
    Moved,
    MovePlan,
    OnStage,
    Restored,
    say_nothing,
)
from persistentq.errors import DatabaseMissing, StorageError
from persistentq.sql.backing_up import back_up
from persistentq.sql.moving import Move, plan
from persistentq.sql.restoring import Restoring
from persistentq.sql.side import Side
from persistentq.sql.transactions import Defaults, facts_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL

    from persistentq.journal import ActNote


class Copies(CopiesInterface):
    """The database that a URL names.

    Args:
        url: Which.
        read_url: Makes a URL of what `move` is given.
        defaults: As for the store.
        lock_timeout: How long to wait for other writers.
    """

    def __init__(
        self, url: URL, read_url: Callable[[str | URL], URL], defaults: Defaults, lock_timeout: timedelta
    ) -> None:
        self._url, self._read_url = url, read_url
        self._defaults, self._lock_timeout = defaults, lock_timeout
        self._facts = facts_for(url)

    @property
    def location(self) -> str:
        return self._facts.location(self._url)

    def back_up(
        self, path: Path, note: ActNote | None, *, force: bool = False, on_stage: OnStage = say_nothing
    ) -> Backup:
        with self._side(self._url) as source:
            return back_up(source, path, on_stage, said=note, force=force)

    def plan_restore(self, path: Path, *, force: bool = False) -> Restored:
        return self._restore(Restoring(path.absolute(), None, force, say_nothing))

    def restore(
        self, path: Path, note: ActNote, *, force: bool = False, on_stage: OnStage = say_nothing
    ) -> Restored:
        return self._restore(Restoring(path.absolute(), note, force, on_stage))

    def _restore(self, restoring: Restoring) -> Restored:
        if not self._facts.is_local:
            with self._side(self._url) as present:
                return restoring.into_server(present)
        file = Path(self.location)
        try:
            present = self._side(self._url)
        except StorageError as error:
            if type(error) not in {StorageError, DatabaseMissing}:
                raise
            return restoring.into_file(file, None)
        with present:
            if present.found_schema is not None:
                return restoring.into_file(file, present)
        return restoring.into_file(file, None)

    def plan_move(self, target: str | URL) -> MovePlan:
        url = self._read_url(target)
        with self._side(self._url) as source:
            try:
                there = self._side(url)
            except DatabaseMissing:
                return plan(source, None, facts_for(url).location(url))
            with there:
                return plan(source, there, there.location)

    def move(
        self,
        target: str | URL,
        note: ActNote,
        *,
        drain: timedelta = DRAIN,
        release: bool = False,
        on_stage: OnStage = say_nothing,
    ) -> Moved:
        with self._side(self._url) as source, self._side(self._read_url(target), create=True) as there:
            return Move(source, there, on_stage).run(note, drain, release=release)

    def _side(self, url: URL, *, create: bool = False) -> Side:
        return Side(url, self._defaults, self._lock_timeout, create=create)
