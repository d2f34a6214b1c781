"""Places in the library where a worker of these tests is killed, frozen, failed or held up.

The library has no code for them. Each place is a function's beginning or end; a worker that is to be struck there wraps
that one function in its own process, and every other process runs the code as it is. `test_failpoints.py` finds each
place in the code, and sees that ordinary work passes it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import wraps
from importlib import import_module
from itertools import count
from typing import Any, NamedTuple

from persistentq import StorageUnavailable
from persistentq.clock import Deadline

HELD_UP_S = 0.4


class Act(StrEnum):
    """What happens to the worker that reaches its place."""

    KILL = "kill"
    STOP = "stop"
    RAISE = "raise"
    DELAY = "delay"


class Passage(NamedTuple):
    """One call of the function: what it was given and, at its end, what it returned."""

    given: Mapping[str, Any]
    made: Any


class Place(NamedTuple):
    """The beginning of a function, or its end.

    Attributes:
        target: `module:name`, or `module:Class.name`.
        is_after: It is the end.
        when: Which passages count.
        is_inside: The worker is in a transaction that may write, so that others may have to wait for it.
        roles: Who passes it.
        engines: Where it is passed.
    """

    name: str
    target: str
    is_after: bool = False
    when: Callable[[Passage], object] = lambda _: True
    is_inside: bool = False
    roles: tuple[str, ...] = ("consumer",)
    engines: tuple[str, ...] = ("sqlite", "system", "postgresql")


class Arm(NamedTuple):
    """What is to happen where, after the place was passed so many times."""

    place: str
    act: Act
    skip: int = 0


STORE = "persistentq.sql.store:PersistentQSQLAlchemy"
TURNS = "persistentq.runtime.turns:Turns"
BACKUP = "persistentq.sql.backing_up"
CHECKPOINT = "persistentq.sql.sqlite:checkpoint_guarded"
SQLITE, SERVER = ("sqlite", "system"), ("postgresql",)
PRODUCER, BOTH = ("producer",), ("producer", "consumer")


def _settles(passage: Passage) -> object:
    return passage.given.get("settled")


def _claims(passage: Passage) -> object:
    return passage.given.get("limit")


def _has_claimed(passage: Passage) -> object:
    return passage.made.claimed


def _has_rows(passage: Passage) -> object:
    return any(rows for _, rows in passage.made)


def _is_made(passage: Passage) -> object:
    return passage.made


_ALL = (
    Place("enqueue-before", f"{STORE}.enqueue_many", roles=PRODUCER),
    Place(
        "enqueue-stored", "persistentq.sql.adding:Adding.add", is_after=True, is_inside=True, roles=PRODUCER
    ),
    Place("enqueue-after", f"{STORE}.enqueue_many", is_after=True, roles=PRODUCER),
    Place(
        "commit-before",
        "persistentq.sql.sqlite:SQLiteFacts.commit",
        is_inside=True,
        roles=BOTH,
        engines=SQLITE,
    ),
    Place(
        "commit-after", "persistentq.sql.sqlite:SQLiteFacts.commit", is_after=True, roles=BOTH, engines=SQLITE
    ),
    Place(
        "commit-before", "persistentq.sql.postgresql:PostgreSQLFacts.commit", is_inside=True, engines=SERVER
    ),
    Place("commit-after", "persistentq.sql.postgresql:PostgreSQLFacts.commit", is_after=True, engines=SERVER),
    Place("claim-before", f"{STORE}.turn", when=_claims),
    Place("claim-made", "persistentq.sql.claiming:Claiming._claim_rows", is_after=True, when=_has_rows),
    Place("claim-after", f"{STORE}.turn", is_after=True, when=_has_claimed),
    Place("handler-begin", "persistentq.runtime.threads:run_here"),
    Place("handler-middle", "tests.faults.working:halfway"),
    Place("handler-end", "persistentq.runtime.threads:run_here", is_after=True),
    Place("effect-written", f"{STORE}.complete", is_inside=True),
    Place("settle-before", f"{STORE}.turn", when=_settles),
    Place("settle-made", f"{STORE}._complete_each", is_after=True, is_inside=True),
    Place("settle-after", f"{STORE}.turn", is_after=True, when=_settles),
    Place("heartbeat-before", f"{STORE}.heartbeat"),
    Place("heartbeat-after", f"{STORE}.heartbeat", is_after=True),
    Place("renew-made", f"{STORE}._renew", is_after=True, is_inside=True, when=_is_made),
    Place("reap-made", "persistentq.sql.claiming:expire", is_after=True, is_inside=True),
    Place(
        "due-made",
        "persistentq.sql.claiming:Claiming._make_ready_and_claim",
        is_after=True,
        is_inside=True,
        when=lambda passage: passage.made is not None,
    ),
    Place("checkpoint-before", CHECKPOINT, engines=("system",), roles=BOTH),
    # The write lock is held, and the checkpoint not yet begun.
    Place(
        "checkpoint-locked", "persistentq.sql.sqlite:closing", is_inside=True, engines=("system",), roles=BOTH
    ),
    Place("checkpoint-after", CHECKPOINT, is_after=True, engines=("system",), roles=BOTH),
    Place("drain-begin", "persistentq.runtime.consumer:Consumer._finish"),
    Place("drain-given-back", f"{TURNS}.give_back_all", is_after=True),
    Place("drain-retire", f"{STORE}.retire"),
    Place("schema-made", "persistentq.sql.schema:bring_up", is_after=True, is_inside=True, roles=("opener",)),
    Place("backup-copied", f"{BACKUP}:vacuum_into", is_after=True, roles=("copier",), engines=SQLITE),
    Place("backup-checked", f"{BACKUP}:look_through", is_after=True, roles=("copier",)),
)


def places(engine: str, role: str | None = None) -> dict[str, Place]:
    """Return the places that are passed on this engine, by this role or by any."""
    return {one.name: one for one in _ALL if engine in one.engines and (role is None or role in one.roles)}


def find(target: str) -> tuple[Any, str]:
    """Return where the function is looked up, and its name there.

    Raises:
        ImportError, AttributeError, KeyError: there is no such function.
    """
    module, _, path = target.partition(":")
    owner: Any = import_module(module)
    *outer, name = path.split(".")
    for one in outer:
        owner = getattr(owner, one)
    vars(owner)[name]  # inherited, it would be wrapped for one class and not for the one that has it
    return owner, name


def wrap(place: Place, reach: Callable[[], object]) -> Callable[[], None]:
    """Call `reach` at each passage, from now on, in this process; return what ends that."""
    owner, name = find(place.target)
    original = vars(owner)[name]

    @wraps(original)
    def passing(*args: Any, **kwargs: Any) -> Any:
        if not place.is_after and place.when(Passage(kwargs, None)):
            reach()
        made = original(*args, **kwargs)
        if place.is_after and place.when(Passage(kwargs, made)):
            reach()
        return made

    setattr(owner, name, passing)
    return lambda: setattr(owner, name, original)


def arm(place: Place, armed: Arm, note: Callable[..., object]) -> None:
    """Let this process be struck at the place, once; `note` hears of it before."""
    passages = count()

    def reach() -> None:
        if next(passages) == armed.skip:
            note("struck", armed.place, armed.act)
            strike(armed.act)

    wrap(place, reach)


def strike(act: Act) -> None:
    """Do it to this process.

    Raises:
        StorageUnavailable: that is the act.
    """
    match act:
        case Act.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Act.STOP:
            os.kill(os.getpid(), signal.SIGSTOP)
        case Act.RAISE:
            raise StorageUnavailable("the database of the test", "fails on purpose")
        case Act.DELAY:
            Deadline(HELD_UP_S).pause(HELD_UP_S)
