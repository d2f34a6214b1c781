"""Makes dashboard*.png beside this file: pages of the dashboard on a queue that is being worked on.

Run it in the checkout's environment: `python docs/screenshots/dashboard_shot.py`. It needs chromium and a minute.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import sync_playwright

from persistentq import Job, NewJob, PersistentQInterface, open_queue
from persistentq.clock import Deadline

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
WIDTH, HEIGHT = 1280, 1500
PAGES = (
    ("failures", "failures", "light", 640),
    ("activity", "activity?within=1+min", "dark", 1330),
    ("jobs", "jobs?status=failed", "light", 900),
)
"""Name of the picture, address, theme and height of the page."""
SECONDS = 60
QUEUES = ("default", "mail", "reports")
CONSUMERS = [f"consumer_{number:02}" for number in range(4)]
WORK = {
    "mail.send": ("mail", "ConnectionRefusedError: smtp.example.org:25"),
    "invoice.charge": ("default", "TimeoutError: no answer from the bank within 30 s"),
    "thumbnail.make": ("default", "FileNotFoundError: /srv/pictures/4711.png"),
    "report.build": ("reports", "ValueError: month 13"),
}


def main() -> None:
    """Work on a queue for a minute, with the dashboard beside it, and take the picture."""
    # Not the system's folder for temporary files: its path would be in the picture.
    with tempfile.TemporaryDirectory(prefix="persistentq-", dir="/tmp") as folder:
        file = Path(folder, "queue.db")
        with open_queue(f"sqlite:///{file}") as queue, _dashboard(file) as address:
            _work(queue, Deadline(SECONDS))
            _take_picture(address)


@contextmanager
def _dashboard(file: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(ROOT / "ops" / "ops.py"),
        "--server.port",
        str(port),
    ]
    environment = {**os.environ, "QUEUE_DB_FILE": str(file), "QUEUE_DB_URL": ""}
    server = subprocess.Popen(command, cwd=file.parent, env=environment, stdout=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


def _work(queue: PersistentQInterface, deadline: Deadline) -> None:
    """Do what producers and consumers do, at a pace that changes, until the deadline; then leave some of it undone."""
    chance = random.Random(4)
    _report(queue)
    while not deadline.passed:
        queue.enqueue_many([_new_job(chance) for _ in range(chance.randrange(6))])
        for consumer in CONSUMERS:
            for job in queue.dequeue(consumer, QUEUES, limit=chance.randrange(1, 4)):
                _settle(queue, job, is_fine=chance.random() > 0.1)
        deadline.pause(0.25)
    queue.enqueue_many([_new_job(chance) for _ in range(9)])
    for consumer in CONSUMERS[:3]:
        queue.dequeue(consumer, QUEUES, limit=1)
    for month in range(1, 4):
        queue.enqueue("report.build", {"month": month}, queue="reports", delay=timedelta(hours=month))
    queue.cancel(queue.list_jobs(status="pending", limit=1).items[0].id)
    _report(queue)
    queue.retire(CONSUMERS[-1])


def _report(queue: PersistentQInterface) -> None:
    for number, consumer in enumerate(CONSUMERS):
        queue.heartbeat(consumer, host="worker-1", pid=4711 + number, queues=QUEUES)


def _new_job(chance: random.Random) -> NewJob:
    task = chance.choice(list(WORK))
    return NewJob(task, {"customer": chance.randrange(1000, 9999)}, WORK[task][0], max_attempts=2)


def _settle(queue: PersistentQInterface, job: Job, *, is_fine: bool) -> None:
    if is_fine:
        queue.complete(job)
    else:
        queue.fail(job, WORK[job.task][1], delay=timedelta(seconds=1), retry=job.id % 3 > 0)


def _take_picture(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address)
        page.get_by_text("1 min", exact=True).click()
        page.get_by_text("in the last 1 min").last.wait_for()
        page.get_by_test_id("stDataFrame").last.locator("canvas").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=HERE / "dashboard.png")
        for name, where, theme, height in PAGES:
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": WIDTH, "height": height})
            page.goto(f"{address}/{where}")
            page.get_by_test_id("stDataFrame").last.locator("canvas").first.wait_for()
            page.wait_for_load_state("networkidle")
            page.screenshot(path=HERE / f"dashboard-{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
