"""Where a run takes place: a folder, a database in it or on a server, and what is there before the workers come."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from persistentq import Backoff, NewJob

if TYPE_CHECKING:
    from persistentq import PersistentQSQLAlchemy

POISON = ("kill", "fault", "memory", "exit")
BAD = ('{"seconds": ', "[1]", '"words"', "nonsense", "", "\\xff")
HARDY = 200
"""How many attempts a job has that must get through whatever happens to its consumers."""
QUICK = Backoff(timedelta(milliseconds=20), timedelta(milliseconds=200))

_NOW = "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) * 1000"
_TABLES = (
    "CREATE TABLE faults_effects (job_id BIGINT NOT NULL, attempt BIGINT NOT NULL)",
    "CREATE TABLE faults_history (job_id BIGINT NOT NULL, was TEXT NOT NULL, became TEXT NOT NULL,"
    " attempt_was BIGINT NOT NULL, attempt BIGINT NOT NULL, lease_was BIGINT, at_us BIGINT NOT NULL)",
)
_ROW = "old.id, old.status, new.status, old.attempt, new.attempt, old.lease_until"
_CHANGED = "old.status <> new.status OR old.attempt <> new.attempt"
_TRIGGER = {
    "sqlite": (
        f"CREATE TRIGGER faults_changed AFTER UPDATE ON persistentq_jobs WHEN {_CHANGED}"
        f" BEGIN INSERT INTO faults_history VALUES ({_ROW}, {_NOW}); END",
    ),
    "postgresql": (
        "CREATE FUNCTION faults_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" INSERT INTO faults_history VALUES ({_ROW},"
        " CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)); RETURN NULL; END $$",
        "CREATE TRIGGER faults_changed AFTER UPDATE ON persistentq_jobs FOR EACH ROW"
        f" WHEN ({_CHANGED.replace('old.', 'OLD.').replace('new.', 'NEW.')}) EXECUTE FUNCTION faults_change()",
    ),
}


@dataclass(frozen=True)
class Scene:
    """One run's place.

    Attributes:
        engine: `sqlite` is the library that the queue chooses, `system` the standard library's own.
        lease: Seconds.
        poison: How many jobs kill their consumer each time.
        bad: How many rows cannot be decoded.
    """

    engine: str
    url: str
    folder: Path
    seed: int
    lease: float = 1.0
    poison: int = 8
    bad: int = 20

    @property
    def file(self) -> Path:
        """The database, where it is a file."""
        return self.disk / "queue.db"

    @property
    def disk(self) -> Path:
        """The folder of the file, which may be a small disk by itself; the ledgers are elsewhere."""
        return self.folder / "disk"

    @property
    def is_local(self) -> bool:
        """Whether the database is a file."""
        return self.engine != "postgresql"

    def pack(self) -> str:
        """Return the scene as one word of a command line."""
        return json.dumps(asdict(self) | {"folder": str(self.folder)})

    @classmethod
    def unpack(cls, text: str) -> Scene:
        """Return the scene that was packed."""
        values = json.loads(text)
        return cls(**values | {"folder": Path(values["folder"])})


def prepare(queue: PersistentQSQLAlchemy, scene: Scene) -> None:
    """Make the tables and the trigger that write down each change of a job, and put the hostile jobs into the queue.

    They come in the first seconds, some before all others.
    """
    chance = Random(scene.seed)
    with queue.engine.begin() as connection:
        for statement in (*_TABLES, *_TRIGGER["sqlite" if scene.is_local else "postgresql"]):
            connection.exec_driver_sql(statement)

    def spread(task: str, args: dict[str, object], n: int) -> NewJob:
        delay = timedelta(seconds=chance.uniform(0.0, 5.0))
        return NewJob(
            task, args, delay=delay, tags=(f"{task}-{n}",), priority=chance.choice((0, 0, 5)), max_attempts=3
        )

    queue.enqueue_many(spread("poison", {"kind": POISON[n % len(POISON)]}, n) for n in range(scene.poison))
    rows = queue.enqueue_many(spread("bad", {"seconds": 0.0}, n) for n in range(scene.bad))
    with queue.engine.begin() as connection:
        for n, job in enumerate(rows):
            connection.exec_driver_sql(
                f"UPDATE persistentq_jobs SET args = {_bad(n, scene)} WHERE id = {job.id}"
            )


def _bad(n: int, scene: Scene) -> str:
    text = BAD[n % len(BAD)]
    if text == "\\xff":
        # PostgreSQL takes no text that is not UTF-8.
        return "CAST(x'7bff7d' AS TEXT)" if scene.is_local else "'{\"a\"}'"
    return f"'{text}'"
