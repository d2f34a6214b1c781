"""The web service: takes images and leaves the work to the queue."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException, Request
from sqlalchemy import func, select
from store import Sessions, Thumbnail, Upload
from tasks import UPLOADS, make_thumbnail

app = FastAPI()
LARGEST = 1_000_000


@app.put("/uploads/{name}", status_code=202)
async def upload(name: str, request: Request) -> dict[str, int]:
    """Keep an image, and have its thumbnail made."""
    body = await request.body()
    return keep(name, body)


def keep(name: str, body: bytes) -> dict[str, int]:
    """Store the row and the job in one transaction: both are there, or neither."""
    with Sessions.begin() as session:
        row = Upload(name=name)
        session.add(row)
        session.flush()
        job = make_thumbnail.using(session=session).enqueue(upload_id=row.id)
        if not 0 < len(body) <= LARGEST:
            raise HTTPException(413, f"an image has 1 to {LARGEST:,} bytes")
        UPLOADS.mkdir(exist_ok=True)
        (UPLOADS / name).write_bytes(body)
        return {"upload": row.id, "job": job.id}


@app.get("/thumbnails")
def count() -> dict[str, int]:
    """Tell how far the work is."""
    with Sessions() as session:
        uploads, done = (session.scalar(select(func.count(table.id))) or 0 for table in (Upload, Thumbnail))
    return {"uploads": uploads, "thumbnails": done}
