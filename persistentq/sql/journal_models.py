"""The tables of the operators' acts: the journal, and the trash from which deleted jobs can be brought back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from persistentq.sql.models import Base, Int64


class JournalRow(Base):
    """One act of an operator. `details` and `skipped`, how many by reason, are JSON."""

    __tablename__ = "persistentq_journal"
    __table_args__ = ({"sqlite_strict": True, "sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Int64, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    face: Mapped[str]
    verb: Mapped[str]
    undoes: Mapped[int | None] = mapped_column(Int64, index=True)
    meant: Mapped[int]
    done: Mapped[int]
    batches: Mapped[int]
    skipped: Mapped[str]
    details: Mapped[str]
    reason: Mapped[str]
    query: Mapped[str]


class BatchRow(Base):
    """What one transaction of an act changed.

    `ids` are those that were changed, from `lowest` to `highest` (0 if none was), `skipped` the others by reason as
    JSON, both as `write_ids` writes them. `changes` is JSON: what the jobs had before and after, as `sql.changes`
    writes it.
    """

    __tablename__ = "persistentq_journal_batches"

    entry_id: Mapped[int] = mapped_column(
        Int64, ForeignKey("persistentq_journal.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    lowest: Mapped[int] = mapped_column(Int64)
    highest: Mapped[int] = mapped_column(Int64, index=True)
    ids: Mapped[str]
    skipped: Mapped[str]
    changes: Mapped[str]


class TrashRow(Base):
    """One deleted job with all that went with it, as JSON; until `until` it can be brought back."""

    __tablename__ = "persistentq_trash"

    job_id: Mapped[int] = mapped_column(Int64, primary_key=True, autoincrement=False)
    entry_id: Mapped[int] = mapped_column(Int64)
    deleted_at: Mapped[datetime]
    until: Mapped[datetime] = mapped_column(index=True)
    content: Mapped[str]
