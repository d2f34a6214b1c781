"""Makes manager.png beside this file: the manager on a queue that a real producer and real consumers worked on.

Run it in the checkout's environment: `python docs/screenshots/manager_shot.py`. It needs tmux and chromium.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from persistentq import JobStatus, PersistentQInterface, open_queue
from persistentq.clock import Deadline

ROOT = Path(__file__).resolve().parents[2]
PICTURE = Path(__file__).with_name("manager.png")
COLUMNS, LINES = 140, 34


def main() -> None:
    """Run the system for a few seconds and take the picture."""
    with tempfile.TemporaryDirectory(prefix="persistentq-") as folder, ExitStack() as running:
        system = System(Path(folder))
        queue = running.enter_context(open_queue(f"sqlite:///{folder}/queue.db"))
        for number in range(2):
            name = f"consumer_{number:02}"
            system.keep_running(running, "consumer.consumer", "--consumer-id", name, "--fail-rate", "0.6")
        system.start("producer.producer", "--count", "12", "--interval", "0.1").wait()
        _enqueue_mail(queue)
        system.start("producer.producer", "--count", "14", "--interval", "0.1").wait()
        _wait_for(lambda: _is_settled(queue), "the end of the consumers' work")
        (picture,) = draw([Text.from_ansi(_capture(system, queue))], COLUMNS)
        PICTURE.write_bytes(picture)


class System:
    """A copy of the programs in a folder of its own, so that the picture shows no path of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "MAX_ATTEMPTS": "2", "LC_ALL": "C.UTF-8"}
        self.environment.update(QUEUE_DB_FILE=f"{folder}/queue.db", JOB_FILES_DIR=f"{folder}/job_files")
        for unwanted in ("QUEUE_DB_URL", "NO_COLOR", "TMUX"):
            self.environment.pop(unwanted, None)
        for name in ("persistentq", "consumer", "producer", "manager"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start one of the programs, quietly."""
        whole = [sys.executable, "-m", *command]
        return subprocess.Popen(whole, cwd=self.folder, env=self.environment, stderr=subprocess.DEVNULL)

    def keep_running(self, running: ExitStack, *command: str) -> None:
        """Start one that ends with the stack."""
        program = self.start(*command)
        running.callback(program.wait)
        running.callback(program.terminate)


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    if not Deadline(60).wait_for(condition):
        raise SystemExit(f"error: waited in vain for {what}")


def _enqueue_mail(queue: PersistentQInterface) -> None:
    """Add jobs that the two consumers do not serve, so that every status is to be seen."""
    for address in ("ada@example.org", "grace@example.org", "alan@example.org"):
        queue.enqueue("mail.send", {"to": address, "subject": "Welcome"}, queue="mail")
    queue.enqueue("report.build", {"month": "2026-10"}, queue="mail", delay=timedelta(hours=2))
    queue.cancel(queue.enqueue("mail.send", {"to": "nobody@example.org"}, queue="mail").id)
    queue.heartbeat("mailer_00", host="box", pid=os.getpid(), queues=["mail"])
    queue.dequeue("mailer_00", queues=["mail"], limit=1)


def _is_settled(queue: PersistentQInterface) -> bool:
    counts = queue.count_jobs()["default"]
    return not {JobStatus.SCHEDULED, JobStatus.PENDING, JobStatus.PROCESSING} & counts.keys()


def _capture(system: System, queue: PersistentQInterface) -> str:
    """Start the manager in tmux, select the newest failed job, and return the screen with its colours."""
    tmux = [shutil.which("tmux") or "tmux", "-S", f"{system.folder}/tmux", "-f", "/dev/null"]

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*tmux, *arguments], check=True, capture_output=True, text=True, env=system.environment
        ).stdout

    def is_seen(*words: str) -> bool:
        return all(word in run("capture-pane", "-p") for word in words)

    jobs = list(queue.list_jobs())
    failed = next(job for job in jobs if job.status == JobStatus.FAILED)
    size = ["-x", str(COLUMNS), "-y", str(LINES)]
    run("new-session", "-d", *size, "-c", str(system.folder), sys.executable, "-m", "manager.manager")
    try:
        _wait_for(lambda: is_seen(" live "), "the manager")
        run("send-keys", *["Down"] * jobs.index(failed))
        _wait_for(lambda: is_seen(f"job {failed.id} ", "#2 failed"), "the failed job's attempts")
        return run("capture-pane", "-p", "-e")
    finally:
        run("kill-server")


def draw(screens: Iterable[Text], columns: int, scale: float = 1) -> Iterator[bytes]:
    """Yield a PNG of each screen of the manager, in a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(
            offline=True, viewport={"width": 1800, "height": 1000}, device_scale_factor=scale
        ).new_page()
        for screen in screens:
            console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
            console.print(screen)
            page.set_content(console.export_svg(title="python -m manager.manager"))
            yield page.locator("svg").screenshot(omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
