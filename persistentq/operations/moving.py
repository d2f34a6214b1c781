"""Somebody who looks after a queue's whole database: backs it up, restores it, moves it elsewhere."""

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
from persistentq.operations.actor import Actor

if TYPE_CHECKING:
    from persistentq.settings import Settings


class Caretaker(Actor):
    """One person, or one program, at one face; what they do is noted in the queue's journal under their name.

    Args:
        copies: The database that is looked after.
        actor: Who; None for the user's name and the host's.
        face: From where: cli, manager, dashboard or library.
        readonly: Refuse every change; a backup is none, but then the journal does not tell of it.
    """

    def __init__(
        self,
        copies: CopiesInterface,
        *,
        actor: str | None = None,
        face: str = "library",
        readonly: bool = False,
    ) -> None:
        super().__init__(actor, face, readonly=readonly)
        self.copies = copies

    @classmethod
    def with_settings(
        cls, copies: CopiesInterface, settings: Settings, *, face: str, readonly: bool = False
    ) -> Caretaker:
        """Return one as the settings want it; `readonly` adds to what they say."""
        return cls(copies, face=face, readonly=readonly or settings.is_readonly)

    def back_up(
        self, path: Path, *, force: bool = False, reason: str = "", on_stage: OnStage = say_nothing
    ) -> Backup:
        """Copy the queue to a file; see and raises as `CopiesInterface.back_up`."""
        note = None if self.is_readonly else self.note(reason)
        return self.copies.back_up(path, note, force=force, on_stage=on_stage)

    def plan_restore(self, path: Path, *, force: bool = False) -> Restored:
        """Look what a restore would do; raises as `CopiesInterface.restore` does."""
        return self.copies.plan_restore(path, force=force)

    def restore(
        self, path: Path, *, force: bool = False, reason: str = "", on_stage: OnStage = say_nothing
    ) -> Restored:
        """Put a backup in the place of the queue; see and raises as `CopiesInterface.restore`.

        Raises:
            ReadOnlyMode: nothing may be changed from here.
        """
        self.may("restore")
        return self.copies.restore(path, self.note(reason), force=force, on_stage=on_stage)

    def plan_move(self, target: str) -> MovePlan:
        """Look what a move would find; raises as `CopiesInterface.move` does."""
        return self.copies.plan_move(target)

    def graduate(
        self,
        target: str,
        *,
        drain: timedelta = DRAIN,
        release: bool = False,
        reason: str = "",
        on_stage: OnStage = say_nothing,
    ) -> Moved:
        """Move the queue to another database; see and raises as `CopiesInterface.move`.

        Raises:
            ReadOnlyMode: nothing may be changed from here.
        """
        self.may("graduate")
        return self.copies.move(target, self.note(reason), drain=drain, release=release, on_stage=on_stage)
