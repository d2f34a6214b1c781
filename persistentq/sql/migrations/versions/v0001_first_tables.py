"""The first tables.

A revision is frozen once it is released: it names no model, for the models go on. A new one expands only, so that
processes of the version before, which are still running, go on too.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INT64 = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JOBS = "persistentq_jobs"
CHECKS = {
    "persistentq_known_status": (
        "status IN ('scheduled', 'pending', 'processing', 'done', 'failed', 'cancelled')"
    ),
    "persistentq_bounded_attempts": "attempt >= 0 AND attempt <= max_attempts AND budget >= 1",
    "persistentq_lease_while_processing": "(status = 'processing') = (lease_until IS NOT NULL)",
    "persistentq_processing_has_owner": (
        "status <> 'processing' OR (consumer IS NOT NULL AND started_at IS NOT NULL AND attempt > 0)"
    ),
    "persistentq_finished_at": "(status IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
    "persistentq_reserved_waits": "reserved_for IS NULL OR status IN ('scheduled', 'pending')",
    "persistentq_cancel_of_processing": "cancel_requested = 0 OR status = 'processing'",
}


def upgrade() -> None:
    """Make the tables in a database that has none."""
    _make_jobs()
    _index_jobs()
    _make_payloads()
    _make_the_others()
    _make_schedules()
    _make_logs()
    _make_journal()


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=null)


def _int64(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, INT64, nullable=null)


def _make_jobs() -> None:
    op.create_table(
        JOBS,
        sa.Column("id", INT64, primary_key=True),
        _text("queue"),
        _text("status"),
        _number("priority"),
        _int64("run_at"),
        _text("reserved_for", null=True),
        _number("attempt"),
        _number("max_attempts"),
        _number("budget"),
        _text("consumer", null=True),
        _int64("lease_until", null=True),
        _number("cancel_requested"),
        _int64("created_at"),
        _int64("started_at", null=True),
        _int64("finished_at", null=True),
        _text("task"),
        _text("unique_key", null=True),
        _int64("backoff_base_us", null=True),
        _int64("backoff_cap_us", null=True),
        _text("tags"),
        _text("error", null=True),
        _text("args"),
        _text("metadata", null=True),
        _text("result", null=True),
        *(sa.CheckConstraint(condition, name) for name, condition in CHECKS.items()),
        sqlite_strict=True,
        sqlite_autoincrement=True,
    )


def _index_jobs() -> None:
    order = [sa.desc(sa.column("priority")), "run_at", "id"]
    _partial("ready", ["queue", *order], "status = 'pending' AND reserved_for IS NULL")
    _partial("reserved", ["reserved_for", "queue", *order], "status = 'pending' AND reserved_for IS NOT NULL")
    _partial("due", ["run_at", "id"], "status = 'scheduled'")
    _partial("due_of_queue", ["queue", "run_at"], "status = 'scheduled'")
    _partial("lease", ["lease_until"], "status = 'processing'")
    _partial("cancelling", ["consumer"], "cancel_requested = 1")
    unfinished = "unique_key IS NOT NULL AND status IN ('scheduled', 'pending', 'processing')"
    _partial("unique_key", ["unique_key"], unfinished, unique=True)
    _partial("finished", ["finished_at", "status"], "finished_at IS NOT NULL")
    _partial("by_status", ["status", "id"], "status || '' <> ''")
    _partial("by_queue", ["queue", "status", "id"], "status || '' <> ''")


def _partial(name: str, columns: list[Any], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(
        f"persistentq_{name}",
        JOBS,
        columns,
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _of_job() -> sa.Column[int]:
    job = sa.ForeignKey(f"{JOBS}.id", ondelete="CASCADE")
    return sa.Column("job_id", INT64, job, primary_key=True, autoincrement=False)


def _make_payloads() -> None:
    op.create_table(
        "persistentq_payloads",
        _of_job(),
        _text("args"),
        sqlite_strict=True,
    )


def _make_the_others() -> None:
    op.create_table(
        "persistentq_attempts",
        _of_job(),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        _text("consumer"),
        _int64("started_at"),
        _int64("ended_at"),
        _text("outcome"),
        _text("error_type", null=True),
        _text("error", null=True),
        _text("traceback", null=True),
        sqlite_strict=True,
    )
    op.create_index("ix_persistentq_attempts_ended_at", "persistentq_attempts", ["ended_at"])
    op.create_table(
        "persistentq_pauses",
        sa.Column("queue", sa.Text, primary_key=True),
        _int64("paused_at"),
        _int64("paused_until", null=True),
        sqlite_strict=True,
    )
    op.create_table(
        "persistentq_consumers",
        sa.Column("id", sa.Text, primary_key=True),
        _text("host"),
        _number("pid"),
        _text("queues"),
        _int64("started_at"),
        _int64("heartbeat_at"),
        _int64("stopped_at", null=True),
        _text("life"),
        _text("trouble", null=True),
        _text("tasks", null=True),
        sqlite_strict=True,
    )


def _make_schedules() -> None:
    paused = "(look_at IS NULL) = (paused_at IS NOT NULL)"
    op.create_table(
        "persistentq_schedules",
        sa.Column("name", sa.Text, primary_key=True),
        *map(_text, ("expression", "zone", "catch_up")),
        _number("catch_up_limit"),
        _int64("created_at"),
        _int64("next_at"),
        *(_int64(name, null=True) for name in ("look_at", "last_at", "last_job_id", "paused_at")),
        _text("error", null=True),
        _text("task"),
        _text("queue"),
        _number("priority"),
        _number("max_attempts", null=True),
        _text("tags"),
        _number("is_unique"),
        _text("args"),
        sa.CheckConstraint(paused, "persistentq_looked_at_unless_paused"),
        sa.CheckConstraint("catch_up IN ('skip', 'one', 'all')", "persistentq_known_catch_up"),
        sqlite_strict=True,
    )
    op.create_index("ix_persistentq_schedules_look_at", "persistentq_schedules", ["look_at"])


def _make_logs() -> None:
    op.create_table(
        "persistentq_log_lines",
        _of_job(),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        _int64("starts_at"),
        _number("attempt"),
        _int64("at"),
        _text("text"),
        sqlite_strict=True,
    )
    op.create_table(
        "persistentq_progress",
        _of_job(),
        _number("attempt"),
        _int64("at"),
        _number("millionths"),
        _text("note"),
        sqlite_strict=True,
    )


def _make_journal() -> None:
    op.create_table(
        "persistentq_journal",
        sa.Column("id", INT64, primary_key=True),
        _int64("at"),
        *map(_text, ("actor", "face", "verb")),
        _int64("undoes", null=True),
        *map(_number, ("meant", "done", "batches")),
        *map(_text, ("skipped", "details", "reason", "query")),
        sqlite_strict=True,
        sqlite_autoincrement=True,
    )
    op.create_index("ix_persistentq_journal_at", "persistentq_journal", ["at"])
    op.create_index("ix_persistentq_journal_undoes", "persistentq_journal", ["undoes"])
    entry = sa.ForeignKey("persistentq_journal.id", ondelete="CASCADE")
    op.create_table(
        "persistentq_journal_batches",
        sa.Column("entry_id", INT64, entry, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        _int64("at"),
        *map(_int64, ("lowest", "highest")),
        *map(_text, ("ids", "skipped", "changes")),
        sqlite_strict=True,
    )
    op.create_index("ix_persistentq_journal_batches_highest", "persistentq_journal_batches", ["highest"])
    op.create_table(
        "persistentq_trash",
        sa.Column("job_id", INT64, primary_key=True, autoincrement=False),
        *map(_int64, ("entry_id", "deleted_at", "until")),
        _text("content"),
        sqlite_strict=True,
    )
    op.create_index("ix_persistentq_trash_until", "persistentq_trash", ["until"])
