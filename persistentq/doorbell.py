"""The doorbell: wakes a consumer that waits, from within its process; each database adds what it can hear of others."""

from __future__ import annotations

import os
import select
from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import suppress
from types import TracebackType
from typing import Self

from persistentq.clock import Deadline
from persistentq.forks import at_fork

CALM_S = 0.1
"""News that need not concern the listener wakes it at most once in this time."""

LONGEST_SLEEP_S = 3600.0


class Doorbell(ABC):
    """Wakes the one thread that waits: when it is rung, and when something was stored that may be for the listener.

    It is a hint and no more: it may wake for nothing, and what it misses is found only by looking. So nobody should
    wait for longer than a late start may take. A forked child has a bell of its own, on which its parent's rings and
    news are not heard. Close it, or use it as a context manager.
    """

    @abstractmethod
    def ring(self) -> None:
        """Wake the waiter, now or as soon as it waits.

        From any thread and from signal handlers, at any time. Several rings count as one; a closed bell is silent.
        """

    @abstractmethod
    def wait(self, seconds: float, *, has_room: bool = True) -> bool:
        """Wait until rung, or until something was stored, but no longer than so many seconds.

        Something: a job that is ready for the listener, a request to cancel one that it runs, a queue that was
        resumed, or a job with a time to come.

        Args:
            seconds: 0 or less looks once.
            has_room: Whether the listener could take a job. If not, what is stored wakes it ten times a second at most.

        Returns:
            True if there is likely something to do; False if the time is over.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. May be repeated; a closed bell must not be waited on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Writer:
    """The writing end of a pipe, closed when nobody holds it any more.

    Were it closed while a thread is about to ring, its number might be another file's by then: the database's, say.
    """

    def __init__(self, end: int) -> None:
        self._end = end

    def write(self) -> None:
        # A pipe that is full wakes the waiter all the same; one that nobody reads has no waiter.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._end, b"\0")

    def __del__(self) -> None:
        os.close(self._end)


class LocalDoorbell(Doorbell):
    """Wakes by a pipe, to which a signal handler may write at any moment; hears only what is told in this process.

    Args:
        queues: Those whose news is for the listener; None for every queue's.
    """

    def __init__(self, queues: Collection[str] | None) -> None:
        self._queues = None if queues is None else frozenset(queues)
        self._is_rung = self._is_wanted = self._has_changed = False
        self._calm = Deadline(0)
        self._open()
        at_fork(self, after_in_child=LocalDoorbell.forget_parent)

    def _open(self) -> None:
        self._reader, writer = os.pipe()
        for end in (self._reader, writer):
            os.set_blocking(end, False)
        self._writer: _Writer | None = _Writer(writer)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._writer is None

    def ring(self) -> None:
        self._is_rung = True
        self._wake()

    def hint(self, queues: Collection[str]) -> None:
        """Say that something was stored in these queues; as `ring`, if the listener serves one of them."""
        if self._note(queues):
            self._wake()

    def _note(self, queues: Collection[str]) -> bool:
        """Keep in mind that something was stored in these queues; return whether that is for the listener."""
        is_ours = bool(queues) if self._queues is None else not self._queues.isdisjoint(queues)
        # Set or left alone, never computed: another thread may set it at the same moment.
        if is_ours:
            self._is_wanted = True
        return is_ours

    def _wake(self) -> None:
        if (writer := self._writer) is not None:
            writer.write()

    def wait(self, seconds: float, *, has_room: bool = True) -> bool:
        deadline = Deadline(seconds)
        while not self._is_told(has_room):
            left = deadline.remaining
            self._sleep(min(left, self._calm.remaining or left) if self._has_news else left)
            if left == 0:
                return self._is_told(has_room)
        return True

    @property
    def _has_news(self) -> bool:
        return self._is_wanted or self._has_changed

    def _is_told(self, has_room: bool) -> bool:
        """Return whether to wake the listener now; what it is told once, it is not told again."""
        if not self._is_rung and not (self._is_wanted and has_room):
            if not (self._has_news and self._calm.passed):
                return False
            self._calm = Deadline(CALM_S)
        self._is_rung = self._is_wanted = self._has_changed = False
        return True

    def _sleep(self, seconds: float) -> None:
        """Sleep until something happens, but no longer than so many seconds."""
        self._wait_for(self._poll, seconds)

    def _wait_for(self, poll: select.poll, seconds: float) -> bool:
        """Wait until one of the descriptors can be read; return whether one but the pipe's can; that is emptied."""
        ready = {descriptor for descriptor, _ in poll.poll(min(seconds, LONGEST_SLEEP_S) * 1000)}
        if self._reader in ready:
            os.read(self._reader, 65536)
        return bool(ready - {self._reader})

    def close(self) -> None:
        if not self.is_closed:
            self._shut()

    def _shut(self) -> None:
        """Undo `_open`."""
        self._writer = None
        os.close(self._reader)

    def forget_parent(self) -> None:
        """Begin anew in a forked child: what it inherited is its parent's, too."""
        if not self.is_closed:
            self._abandon()
            self._is_rung = self._is_wanted = self._has_changed = False
            self._open()

    def _abandon(self) -> None:
        """Let go of what was inherited without disturbing the parent."""
        self._shut()


class Doorbells:
    """The bells of this process at which a queue's news is told as soon as it is stored."""

    def __init__(self) -> None:
        self._bells: tuple[LocalDoorbell, ...] = ()

    def add(self, bell: LocalDoorbell) -> None:
        """Tell this bell too, until it is closed."""
        self._bells = (*(known for known in self._bells if not known.is_closed), bell)

    def hint(self, queues: Collection[str]) -> None:
        """Say that something was stored in these queues."""
        for bell in self._bells:
            bell.hint(queues)

    def close(self) -> None:
        """Close every bell. May be repeated."""
        for bell in self._bells:
            bell.close()
        self._bells = ()
