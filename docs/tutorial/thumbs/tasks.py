"""The work that is done in the background."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from sqlalchemy import delete, select
from store import Sessions, Thumbnail, Upload

from persistentq import Backoff, JobContext, NoRetry, task

UPLOADS, THUMBNAILS = Path("uploads"), Path("thumbnails")
RULE = Backoff(timedelta(seconds=0.2), timedelta(seconds=5))


@task("thumbs.make", max_attempts=5, timeout=60, backoff=RULE)
def make_thumbnail(context: JobContext, upload_id: int, width: int = 32) -> None:
    """Make the small version of an upload, and one row about it."""
    with Sessions() as session:
        name = session.scalars(select(Upload.name).where(Upload.id == upload_id)).one()
    if name.startswith("flaky") and context.job.attempt == 1:
        raise ConnectionError("the storage did not answer")  # as a real one would, now and then
    try:
        with Image.open(UPLOADS / name) as image:
            image.thumbnail((width, width))
            size = image.size
            _save(image, THUMBNAILS / f"{upload_id}.png")
    except UnidentifiedImageError as error:
        raise NoRetry(f"{name} is not an image") from error
    with context.session(result={"size": size}) as session:
        session.add(Thumbnail(upload_id=upload_id, width=size[0], height=size[1]))


def _save(image: Image.Image, path: Path) -> None:
    # Another attempt may do the same at the same time: whoever reads the file finds a whole one.
    THUMBNAILS.mkdir(exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    image.save(unfinished, "PNG")
    unfinished.replace(path)


@task("thumbs.tidy")
def tidy() -> int:
    """Delete the thumbnails of uploads that are gone; return how many rows that were."""
    with Sessions.begin() as session:
        known = set(session.scalars(select(Upload.id)))
        gone = {path for path in THUMBNAILS.glob("*.png") if int(path.stem) not in known}
        removed = session.execute(delete(Thumbnail).where(Thumbnail.upload_id.not_in(select(Upload.id))))
    for path in gone:
        path.unlink(missing_ok=True)
    return removed.rowcount
