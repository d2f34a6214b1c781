"""Who acts, from where, and whether they may."""

from __future__ import annotations

import socket
from dataclasses import replace
from getpass import getuser

from persistentq.errors import ReadOnlyMode
from persistentq.journal import ActNote


class Actor:
    """One person, or one program, at one face.

    Args:
        actor: Who; None for the user's name and the host's.
        face: From where: cli, manager, dashboard or library.
        readonly: Refuse every change.
    """

    def __init__(self, actor: str | None, face: str, *, readonly: bool) -> None:
        self.is_readonly = readonly
        self._note = ActNote(actor or user_and_host(), face)

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


def user_and_host() -> str:
    """Return who runs this process and where, as in `ann@mail-1`."""
    try:
        user = getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:200]
