"""In-process group commit: threads that come at the same moment share one transaction, and one sync of the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Generic, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


class _Waiting(Generic[Given, Made]):
    """What one thread has given, and what came of it; `bell` is locked until it is done or has to lead."""

    __slots__ = ("bell", "error", "given", "is_done", "leads", "made")

    def __init__(self, given: Given) -> None:
        self.given, self.is_done, self.leads = given, False, False
        self.made: Made | None = None
        self.error: BaseException | None = None
        self.bell = Lock()
        self.bell.acquire()


class Shared(Generic[Given, Made]):
    """Lets threads that come at the same moment share one transaction; one that comes alone waits for nobody.

    Whoever finds nobody at work leads: it does its own work, then rings the first of those who came meanwhile, who
    leads in turn and does the work of them all.

    Args:
        do: Does the work of all of them in one transaction and returns one result each, in order.
        patience: How many seconds a thread waits for others to be done.
        late: Makes the error for a thread that has waited for longer.
    """

    def __init__(
        self, do: Callable[[list[Given]], list[Made]], patience: float, late: Callable[[], Exception]
    ) -> None:
        self._do, self._patience, self._late = do, patience, late
        self._guard = Lock()
        self._is_led = False
        self._waiting: deque[_Waiting[Given, Made]] = deque()

    def __call__(self, given: Given) -> Made:
        """Return what came of `given`; an error of the shared transaction is raised in each thread."""
        mine: _Waiting[Given, Made] | None = None
        with self._guard:
            if self._is_led:
                mine = _Waiting(given)
                self._waiting.append(mine)
            self._is_led = True
        if mine is None:
            try:
                return self._do([given])[0]
            finally:
                self._hand_on()
        try:
            self._wait(mine)
            if not mine.is_done:
                self._lead()
        except BaseException:
            self._leave(mine)
            raise
        if mine.error is not None:
            raise mine.error
        return mine.made  # type: ignore[return-value]

    def _wait(self, mine: _Waiting[Given, Made]) -> None:
        """Wait until `mine` is done or has to lead.

        Raises:
            Exception: what `late` makes, and nothing was done.
        """
        if mine.bell.acquire(timeout=self._patience):
            return
        with self._guard:
            if not mine.leads and mine in self._waiting:
                raise self._late()
        # Somebody does our work already, or has just rung us to lead.
        mine.bell.acquire()

    def _leave(self, mine: _Waiting[Given, Made]) -> None:
        """Wait no longer, be it for an interrupt; whoever has been rung to lead lets the next one do it."""
        with self._guard, suppress(ValueError):
            self._waiting.remove(mine)
            if mine.leads:
                self._ring()

    def _hand_on(self) -> None:
        with self._guard:
            self._ring()

    def _ring(self) -> None:
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].bell.release()
        else:
            self._is_led = False

    def _lead(self) -> None:
        """Do the work of everybody who waits; the first of them is the thread that calls."""
        batch: list[_Waiting[Given, Made]] = []
        try:
            with self._guard:
                batch = list(self._waiting)
                self._waiting.clear()
            for one, made in zip(batch, self._do([one.given for one in batch]), strict=True):
                one.made = made
        except Exception as error:
            for one in batch:
                one.error = error
        except BaseException:
            # An interrupt of this thread is not the others'; whether their work was committed is unknown.
            for one in batch:
                one.error = RuntimeError("the thread that did the shared work was interrupted")
            raise
        finally:
            self._hand_on()
            for one in batch:
                one.is_done = True
            for one in batch[1:]:
                one.bell.release()
