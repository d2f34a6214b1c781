"""What is around the queue on this machine, looked up once: Supervisor's configuration, and what it says now."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from persistentq.errors import ExtraMissing, SupervisionError
from persistentq.operations.surroundings import Surroundings

if TYPE_CHECKING:
    from persistentq.operations.supervised import Program, Supervised


class Around:
    """The surroundings of the manager.

    Args:
        env_file: The `.env` that the settings came from.
    """

    def __init__(self, env_file: Path | None) -> None:
        self.surroundings = Surroundings.here(env_file)
        self.conf = self.surroundings.supervisor_conf
        self._supervised: Supervised | None = None

    def log_tail(self, program: str) -> list[str]:
        """Return the last lines of a supervised process's log, after `programs` has told of it.

        Raises:
            SupervisionError: there are none to be had.
        """
        if self._supervised is None:
            raise SupervisionError(f"no supervisord of here keeps {program}", "start it")
        return self._supervised.log_tail(program)

    def programs(self) -> dict[str, Program]:
        """Return what supervisord says of its processes by name; nothing if none answers, or it is not installed."""
        if self.conf is None or not self.conf.is_file():
            return {}
        # It speaks HTTP, which nobody loads who does not look at consumers.
        from persistentq.operations.supervised import Supervised

        with suppress(ExtraMissing, SupervisionError):
            if self._supervised is None:
                self._supervised = Supervised(self.conf)
            if self._supervised.socket.exists():
                return {program.name: program for program in self._supervised.programs()}
        return {}
