"""The tutorial's service, built and run as its page says: processes, HTTP, 500 images, a consumer that is killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from persistentq.clock import Deadline

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"
PATIENCE_S = 300
QUERY = (
    "from store import queue, Sessions, Upload, Thumbnail; from sqlalchemy import func, select; import json; "
)


class Service:
    """The folder of somebody who follows the page, and the programs that run in it."""

    def __init__(self, folder: Path, url: str) -> None:
        shutil.copytree(TUTORIAL / "thumbs", folder)
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        ours = ("QUEUE_", "MAX_ATTEMPTS", "TIMEOUT_SECONDS", "CONSUMER_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment = {**kept, "PYTHONPATH": str(ROOT), "QUEUE_DB_URL": url, "TIMEOUT_SECONDS": "2"}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()

    def consumer(self) -> tuple[str, ...]:
        return ("persistentq", "consumer", "--app", "tasks", "--concurrency", "4")

    def run(self, *arguments: str, code: int = 0) -> str:
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout

    def ask(self, expression: str) -> object:
        return json.loads(self.run("-c", f"{QUERY}print(json.dumps({expression}))"))

    def counts(self) -> object:
        return self.ask("queue.count_jobs().get('default', {})")

    def get(self, path: str) -> dict[str, int]:
        with urlopen(f"{self.address}{path}", timeout=30) as answer:  # noqa: S310 - our own server
            found: dict[str, int] = json.load(answer)
        return found

    def answers(self) -> bool:
        try:
            return "uploads" in self.get("/thumbnails")
        except (URLError, ConnectionError):
            return False


@pytest.fixture
def service(own_url: str, tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "thumbs", own_url)
    with made.running("uvicorn", "app:app", "--port", str(made.port), "--log-level", "warning"):
        assert Deadline(PATIENCE_S).wait_for(made.answers, every=0.1)
        yield made


def test_the_page_shows_the_files_as_they_are() -> None:
    page = (TUTORIAL / "index.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^`(\w+\.py)`\n\n```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    files = {path.name: path.read_text(encoding="utf-8") for path in (TUTORIAL / "thumbs").glob("*.py")}
    assert shown == files


@pytest.mark.timeout(900)
def test_five_hundred_images_become_thumbnails_whoever_is_killed(service: Service) -> None:
    with ExitStack() as others:
        doomed = others.enter_context(service.running(*service.consumer()))
        others.enter_context(service.running(*service.consumer()))
        sender = others.enter_context(service.running("send_images", service.address))
        patience = Deadline(PATIENCE_S)
        assert patience.wait_for(lambda: service.get("/thumbnails")["thumbnails"] > 100, every=0.02)
        doomed.send_signal(signal.SIGKILL)
        assert sender.wait(PATIENCE_S) == 0
        assert patience.wait_for(lambda: service.get("/thumbnails")["thumbnails"] >= 498, every=0.1)
        assert patience.wait_for(lambda: service.counts() == {"done": 498, "failed": 2}, every=0.5)
        assert_each_has_one_thumbnail(service)
        failed = json.loads(
            service.run("-m", "persistentq", "admin", "list-jobs", "--status", "failed", "-o", "json")
        )
        assert {job["error"] for job in failed["items"]} == {
            "image-123.png is not an image",
            "image-321.png is not an image",
        }
        mend_one(service, next(job["id"] for job in failed["items"] if "-123" in job["error"]))
        assert patience.wait_for(lambda: service.counts() == {"done": 499, "failed": 1}, every=0.5)
        look_after_itself_at_night(service)


def assert_each_has_one_thumbnail(service: Service) -> None:
    rows = "Sessions().execute(select(Thumbnail.upload_id, func.count()).group_by(Thumbnail.upload_id)).all()"
    per_upload = service.ask(f"[tuple(row) for row in {rows}]")
    assert isinstance(per_upload, list)
    assert len(per_upload) == 498
    assert {number for _, number in per_upload} == {1}
    assert len(list((service.folder / "thumbnails").glob("*.png"))) == 498
    stumbled = "len([job for job in queue.list_jobs(where='attempts>=2 status:done', limit=1000)])"
    assert service.ask(f"{stumbled} >= 10") is True


def mend_one(service: Service, job_id: int) -> None:
    good = (service.folder / "uploads" / "image-1.png").read_bytes()
    (service.folder / "uploads" / "image-123.png").write_bytes(good)
    service.run("-m", "persistentq", "admin", "resubmit", str(job_id))


def look_after_itself_at_night(service: Service) -> None:
    assert service.run("nightly.py") == "tidy 0 3 * * * Europe/Berlin\n"
    forget = "Sessions.begin() as session: session.delete(session.get(Upload, 7))"
    service.run("-c", f"{QUERY}\nwith {forget}")
    service.run("-m", "persistentq", "admin", "schedules", "run-now", "tidy")
    patience = Deadline(PATIENCE_S)
    tidied = "[job.result for job in queue.list_jobs(task='thumbs.tidy', status='done')]"
    assert patience.wait_for(lambda: service.ask(tidied) == [1], every=0.5)
    assert not (service.folder / "thumbnails" / "7.png").exists()
    service.run("-m", "persistentq", "preflight", "--app", "tasks")


def test_a_refused_image_leaves_neither_row_nor_job(service: Service) -> None:
    request = Request(f"{service.address}/uploads/huge.png", data=b"x" * 1_000_001, method="PUT")  # noqa: S310
    with pytest.raises(HTTPError, match="413"):
        urlopen(request, timeout=30)  # noqa: S310
    assert service.get("/thumbnails") == {"uploads": 0, "thumbnails": 0}
    assert service.counts() == {}


def test_the_services_own_tests_pass(tmp_path: Path) -> None:
    made = Service(tmp_path / "thumbs", f"sqlite:///{tmp_path}/queue.db")
    assert "2 passed" in made.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tasks.py")


def test_preflight_tells_what_a_deployment_would_break(tmp_path: Path) -> None:
    made = Service(tmp_path / "thumbs", f"sqlite:///{tmp_path}/queue.db")
    made.run("-c", "from tasks import make_thumbnail; make_thumbnail.enqueue(upload_id=1, width=64)")
    made.run("-m", "persistentq", "preflight", "--app", "tasks")
    source = (made.folder / "tasks.py").read_text().replace("width: int = 32", "wide: int = 32")
    (made.folder / "tasks.py").write_text(source.replace("(width, width)", "(wide, wide)"))
    assert "thumbs.make" in made.run("-m", "persistentq", "preflight", "--app", "tasks", code=6)
