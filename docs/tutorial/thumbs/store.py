"""The service's own tables, which live in the same database as its queue."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from persistentq import open_queue

queue = open_queue()
"""The queue that QUEUE_DB_URL or QUEUE_DB_FILE names."""

Sessions = sessionmaker(queue.engine)


class Base(DeclarativeBase):
    """The root of this service's tables."""


class Upload(Base):
    """One image that somebody has sent."""

    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Thumbnail(Base):
    """The small version of an upload. Nothing but the code keeps it to one for each, and to those that are there."""

    __tablename__ = "thumbnails"

    id: Mapped[int] = mapped_column(primary_key=True)
    upload_id: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]


Base.metadata.create_all(queue.engine)
