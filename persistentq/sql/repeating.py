"""The one place where the store tries twice: a call whose transaction met a passing fault is made again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from persistentq.clock import Deadline
from persistentq.errors import LockTimeout, StorageUnavailable
from persistentq.interface import PersistentQInterface
from persistentq.sql.transactions import Transactions

Store = TypeVar("Store", bound=Transactions)

CALLS = PersistentQInterface.__abstractmethods__ - {
    "address",
    "location",
    "close",
    "guard",
    "completing",
    "listen",
}
ONCE = {
    *("enqueue_many", "fail", "snooze", "resubmit", "cancel", "mark_failed", "assign_job", "delete_job"),
    *("remove_schedule", "run_schedule", "record"),
    *("act", "undo", "import_jobs", "write_journal"),
}
"""Calls that would do their work twice, or be refused, if the first one was committed after all."""

REPEATS = 10
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 1.0
"""Almost at once at first, and ten times within two to four seconds: by then a restarted server is back."""


def repeating(store: type[Store]) -> type[Store]:
    """Let each call of the contract be made again after a passing fault, for no longer than the lock timeout.

    Databases that have no such fault, and calls that join the caller's transaction, are left as they are, but that a
    call which waited too long says so if it waited for a queue that is being moved.
    """
    for name in CALLS:
        setattr(store, name, _again(name, getattr(store, name)))
    return store


def _again(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def repeat(self: Transactions, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = tuple(map(_kept, args)), {key: _kept(value) for key, value in kwargs.items()}
        deadline: Deadline | None = None
        tried = 0
        while True:
            try:
                return method(self, *args, **kwargs)
            except StorageUnavailable as error:
                deadline = deadline or Deadline(self._lock_timeout.total_seconds())
                if tried == REPEATS or deadline.passed or not self._may_pass(error):
                    raise
                # With a note, there would be a second entry in the journal.
                is_once = name in ONCE or kwargs.get("note") is not None
                if error.is_unknown and is_once and not _has_keys(name, args, kwargs):
                    raise
            pause, tried = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**tried), tried + 1
            deadline.pause(pause * random.uniform(0.5, 1.0))

    @wraps(method)
    def call(self: Transactions, *args: Any, **kwargs: Any) -> Any:
        is_made_once = self._facts.is_local or kwargs.get("session") is not None
        try:
            return method(self, *args, **kwargs) if is_made_once else repeat(self, *args, **kwargs)
        except LockTimeout as error:
            # Only now is it worth a look who had the lock.
            if (moving := self._moving()) is not None:
                raise moving from error
            raise

    return call


def _kept(value: Any) -> Any:
    # An iterator can be read once: the second try would find it empty, and do nothing without a word.
    return list(value) if isinstance(value, Iterator) else value


def _has_keys(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether the call stores jobs that all have a unique key, which a second call finds taken."""
    if name != "enqueue_many":
        return False
    return all(new.unique_key is not None for new in (args[0] if args else kwargs["jobs"]))
