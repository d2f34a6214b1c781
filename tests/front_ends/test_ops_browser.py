"""The dashboard as an operator has it: a real server, a real browser, a real database."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ops_data import PAGE
from persistentq import JobStatus, NewJob, PersistentQInterface, open_queue
from persistentq.clock import Deadline
from tests.front_ends.ops_kit import HOSTILE, fail_for_good
from tests.front_ends.ops_server import HEAD, Server, a_browser, click_row, served, tab

expect.set_options(timeout=20_000)

# Each test has a queue of its own in the one database, so that they need no order.


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from a_browser()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ops") / "queue.db"


@pytest.fixture(scope="module")
def store(file: Path) -> Iterator[PersistentQInterface]:
    with open_queue(f"sqlite:///{file}") as queue:
        queue.heartbeat("c1", host="h", pid=1, queues=["default"])
        yield queue


@pytest.fixture(scope="module")
def server(
    file: Path, store: PersistentQInterface, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with served(file, tmp_path_factory.mktemp("elsewhere")) as running:
        yield running


def soon(page: Page, condition: Callable[[], bool]) -> bool:
    """Wait until the condition holds, while the page goes on living."""
    deadline = Deadline(20)
    while not (held := condition()) and not deadline.passed:
        page.wait_for_timeout(50)
    return held


def as_of(page: Page, number: int = 0) -> str:
    """Return of when a part of the page is; how old that is by now may stand beside it."""
    return page.get_by_text("as of").nth(number).inner_text().partition(" ·")[0]


@pytest.mark.parametrize("dark", [False, True])
def test_the_overview_follows_the_theme_and_goes_on_by_itself(
    browser: Browser, server: Server, store: PersistentQInterface, dark: bool
) -> None:
    fail_for_good(store, "mail.send", 1, in_queue=f"overview-{dark}")
    store.enqueue("a", queue=f"overview-{dark}")
    store.complete(store.dequeue("c1", (f"overview-{dark}",))[0])
    with tab(browser, server, dark=dark) as page:
        page.goto(server.url)
        expect(page.locator("[role=graphics-document]")).to_have_count(2)
        expect(page.get_by_role("link", name="✗ failed")).to_be_visible()
        expect(page.get_by_test_id("stDataFrame")).to_have_count(2)
        background = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
        red, green, blue = map(int, re.findall(r"\d+", background))
        assert max(red, green, blue) < 50 if dark else min(red, green, blue) > 200
        before = as_of(page)
        assert soon(page, lambda: as_of(page) != before)


def test_a_tile_leads_to_its_jobs_and_a_click_and_a_dialog_resubmit_one(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    newest, older = fail_for_good(store, "mail.send", 2, in_queue="resubmit")
    with tab(browser, server) as page:
        page.goto(server.url)
        page.get_by_role("link", name="✗ failed").click()
        page.wait_for_url("**/jobs?status=failed")
        page.goto(f"{server.url}/jobs?status=failed&q=queue:resubmit")
        expect(page.get_by_text("2 match")).to_be_visible()
        click_row(page, 1)
        expect(page.get_by_role("heading", name=f"Job {older.id} ·")).to_be_visible()
        page.get_by_role("button", name="Resubmit").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text(f"Make job {older.id} pending again?")).to_be_visible()
        assert store.get_job(older.id).status == JobStatus.FAILED
        dialog.get_by_role("button", name="Resubmit").click()
        expect(page.get_by_text(f"Resubmit worked for 1 job: {older.id}")).to_be_visible()
        expect(page.get_by_text("1 match")).to_be_visible()
    assert store.get_job(older.id).status == JobStatus.PENDING
    assert store.get_job(newest.id).status == JobStatus.FAILED


def test_a_selection_outlives_the_refresh_and_deleting_needs_the_number(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    first, second = (store.enqueue("a", queue="still").id for _ in range(2))
    with tab(browser, server) as page:
        page.goto(f"{server.url}/jobs?q=queue:still")
        expect(page.get_by_text("2 match")).to_be_visible()
        click_row(page, 1)
        expect(page.get_by_role("heading", name=f"Job {first} ·")).to_be_visible()
        third = store.enqueue("a", queue="still").id
        table, details = (as_of(page, number) for number in range(2))
        assert soon(page, lambda: as_of(page, 1) != details)
        assert as_of(page) == table
        expect(page.get_by_role("heading", name=f"Job {first} ·")).to_be_visible()
        page.get_by_role("button", name="Delete").click()
        dialog = page.get_by_role("dialog")
        typed = dialog.get_by_label("Type 1 to confirm")
        typed.fill("7")
        dialog.get_by_role("button", name="Delete").click()
        expect(dialog.get_by_text("Nothing was changed")).to_be_visible()
        typed.fill("1")
        dialog.get_by_role("button", name="Delete").click()
        expect(page.get_by_text(f"Delete worked for 1 job: {first}")).to_be_visible()
        expect(page.get_by_text("2 match")).to_be_visible()
    assert {job.id for job in store.list_jobs(queue="still")} == {second, third}


def test_a_consumer_that_nobody_knows_must_be_confirmed(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    job = store.enqueue("a", queue="assign")
    with tab(browser, server) as page:
        page.goto(f"{server.url}/?job={job.id}")
        page.get_by_role("button", name="Assign").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_have_count(0)
        before = as_of(page)
        assert soon(page, lambda: as_of(page) != before)
        page.get_by_role("button", name="Assign").click()
        dialog.get_by_role("combobox").fill("c9")
        dialog.get_by_role("combobox").press("Enter")
        dialog.get_by_role("button", name="Assign").click()
        expect(dialog.get_by_text("'c9' is not known")).to_be_visible()
        assert store.get_job(job.id).reserved_for is None
        dialog.get_by_role("button", name="Assign").click()
        expect(page.get_by_text(f"Assign worked for 1 job: {job.id}")).to_be_visible()
    assert store.get_job(job.id).reserved_for == "c9"


def test_a_busy_first_page_keeps_its_place_until_the_newer_jobs_are_asked_for(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    ids = [store.enqueue("a", queue="busy").id for _ in range(30)]
    with tab(browser, server) as page:
        page.goto(f"{server.url}/jobs?q=queue:busy")
        expect(page.get_by_role("button", name="0 new - show")).to_be_disabled()
        scrolled = page.get_by_test_id("stDataFrame").first.locator(".dvn-scroller")
        scrolled.evaluate("element => element.scrollTo(0, 200)")
        store.enqueue_many([NewJob("a", queue="busy")] * 2)
        show = page.get_by_role("button", name="2 new - show")
        expect(show).to_be_visible()
        before = as_of(page)
        assert soon(page, lambda: as_of(page) != before)
        assert scrolled.evaluate("element => element.scrollTop") == 200
        expect(page.get_by_text(f"Jobs {ids[-1]} to {ids[0]} ·")).to_be_visible()
        show.click()
        expect(page.get_by_text(f"Jobs {ids[-1] + 2} to {ids[0]} · 32 match")).to_be_visible()


def test_a_row_of_a_sorted_table_is_the_job_it_shows(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    """Sorting happens in the browser alone; the selection must still name the right job."""
    oldest = store.enqueue("a", queue="sorted").id
    newest = [store.enqueue("a", queue="sorted").id for _ in range(3)][-1]
    with tab(browser, server) as page:
        page.goto(f"{server.url}/jobs?q=queue:sorted")
        expect(page.get_by_text(f"Jobs {newest} to {oldest} ·")).to_be_visible()
        page.get_by_test_id("stDataFrame").first.click(position={"x": 60, "y": HEAD / 2})
        click_row(page, 0)
        expect(page.get_by_role("heading", name=f"Job {oldest} ·")).to_be_visible()


def test_pages_turn_and_the_address_keeps_the_place(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    ids = [job.id for job in store.enqueue_many([NewJob("a", queue="pages")] * (2 * PAGE + 1))]
    with tab(browser, server) as page:
        page.goto(f"{server.url}/jobs?q=queue:pages")
        expect(page.get_by_text(f"Jobs {ids[-1]} to {ids[PAGE + 1]} · 201 match")).to_be_visible()
        page.get_by_role("button", name="Older").click()
        expect(page.get_by_text(f"Jobs {ids[PAGE]} to {ids[1]} ·")).to_be_visible()
        page.reload()
        expect(page.get_by_text(f"Jobs {ids[PAGE]} to {ids[1]} ·")).to_be_visible()
        page.get_by_role("button", name="Older").click()
        expect(page.get_by_text(f"Jobs {ids[0]} to {ids[0]} ·")).to_be_visible()
        expect(page.get_by_role("button", name="Older")).to_be_disabled()
        page.get_by_role("button", name="Newer").click()
        expect(page.get_by_text(f"Jobs {ids[PAGE]} to {ids[1]} ·")).to_be_visible()
        page.get_by_role("button", name="cancelled", exact=True).click()
        expect(page.get_by_text("No job matches these filters")).to_be_visible()
        assert soon(page, lambda: "status=cancelled" in page.url and "q=queue" in page.url)
        page.get_by_role("button", name="Clear", exact=True).click()
        expect(page.get_by_text("in all")).to_be_visible()
        assert soon(page, lambda: page.url == f"{server.url}/jobs")


def test_addresses_in_an_error_are_no_links(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    """Streamlit makes links of them where it reads Markdown, escaped or not."""
    store.enqueue("a", queue="addresses")
    said = "HTTPS://evil.example/a, www.evil.example, b@evil.example"
    (job,) = store.dequeue("c1", ("addresses",))
    store.fail(job, ValueError(said), retry=False)
    with tab(browser, server) as page:
        for where in ("attention", f"?job={job.id}"):
            page.goto(f"{server.url}/{where}")
            expect(page.get_by_test_id("stAlert").get_by_text("evil.example/a").first).to_be_visible()
            hosts = page.locator("a").evaluate_all("links => links.map(link => link.host)")
            assert {f"http://{host}" for host in hosts} == {server.url}


def test_attention_leads_to_the_jobs_and_on_to_the_next(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    for task in ("lead.one", "lead.two"):
        fail_for_good(store, task, 3, in_queue=task)
    with tab(browser, server) as page:
        page.goto(server.url)
        for task in ("lead.one", "lead.two"):
            page.get_by_role("link", name="Attention").click()
            page.locator(f"a[href*='{task}']").click()
            expect(page.get_by_text("3 match")).to_be_visible()
            expect(page.get_by_role("textbox", name="Query")).to_have_value(
                re.compile(f"status:failed task:{task} ")
            )


@pytest.mark.parametrize("width", [1400, 420])
def test_hostile_text_shows_as_it_is(
    browser: Browser, server: Server, store: PersistentQInterface, width: int
) -> None:
    """Opened by its link; `tab` sees to it that no image is fetched."""
    name = f"hostile-{width}"
    store.enqueue(HOSTILE, {"to": HOSTILE}, queue=name, unique_key=f"{HOSTILE}{width}")
    (job,) = store.dequeue("c1", (name,))
    store.fail(job, ValueError(HOSTILE), retry=False)
    with tab(browser, server, width=width) as page:
        page.goto(f"{server.url}/?job={job.id}")
        expect(page.get_by_text(HOSTILE, exact=True).first).to_be_visible()
        expect(page.get_by_text(f"{HOSTILE}{width}")).to_be_visible()
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("dialog").get_by_text(HOSTILE[:40])).to_be_visible()
        assert page.locator("img[src*=evil]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_it_waits_for_a_database_and_notices_a_foreign_host(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "later.db"
    with served(file, tmp_path) as server:
        with tab(browser, server) as page:
            page.goto(server.url)
            expect(page.get_by_text("There is no queue yet")).to_be_visible()
            expect(page.get_by_text(str(file))).to_be_visible()
            open_queue(f"sqlite:///{file}").close()
            expect(page.get_by_text("The queue is empty")).to_be_visible()
        assert _open_websocket_under("evil.example", server) == 400
        assert _open_websocket_under("localhost", server) == 101


def _open_websocket_under(host: str, server: Server) -> int:
    """Return the status of the answer to a page that calls this server by another name, as DNS rebinding does."""
    port = int(server.url.rpartition(":")[2])
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        return int(connection.recv(4096).split()[1])


def test_all_that_match_are_resubmitted_and_that_is_taken_back(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    failed = {job.id for job in fail_for_good(store, "mail.send", 3, in_queue="every")}
    with tab(browser, server, dark=True) as page:
        page.goto(f"{server.url}/jobs?q=queue:every status:failed")
        page.get_by_text("All that match (3)").click()
        page.get_by_role("button", name="Resubmit all…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("Make 3 jobs pending again?")).to_be_visible()
        expect(dialog.get_by_text("resubmit --where")).to_be_visible()
        dialog.get_by_label("Reason", exact=True).fill("mended")
        dialog.get_by_role("button", name="Resubmit").click()
        expect(page.get_by_text("Resubmit worked for 3 jobs")).to_be_visible()
        assert {job.id for job in store.list_jobs(status="pending", queue="every")} == failed
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("Undo worked for 3 jobs")).to_be_visible()
    assert {job.id for job in store.list_jobs(status="failed", queue="every")} == failed


@pytest.mark.parametrize("width", [1400, 420])
def test_a_job_is_opened_by_its_id(
    browser: Browser, server: Server, store: PersistentQInterface, width: int
) -> None:
    job = store.enqueue("a", queue=f"ids-{width}").id
    with tab(browser, server, width=width) as page:
        page.goto(f"{server.url}/jobs?q=queue:ids-{width}")
        box = page.get_by_role("textbox", name="Open a job")
        box.fill(str(job))
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        box.press("Enter")
        expect(page.get_by_role("heading", name=f"Job {job} ·")).to_be_visible()
        expect(box).to_have_count(0)
        page.wait_for_url(f"**/job?job={job}")


def test_a_queue_is_paused_by_its_link_on_a_phone(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    store.enqueue("a", queue="phone")
    with tab(browser, server, width=420) as page:
        page.goto(f"{server.url}/queues?queue=phone")
        page.get_by_role("button", name="Pause").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("Hand out no more jobs of queue phone?")).to_be_visible()
        dialog.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Queue phone is paused.")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not store.dequeue("c1", ("phone",))


def test_what_matches_is_downloaded(browser: Browser, server: Server, store: PersistentQInterface) -> None:
    ids = [store.enqueue("a", {"n": n}, queue="files").id for n in range(3)]
    with tab(browser, server) as page:
        page.goto(f"{server.url}/jobs?q=queue:files")
        expect(page.get_by_text("3 match")).to_be_visible()
        link = page.get_by_role("link", name="JSONL").get_attribute("href")
        answer = page.request.get(f"{server.url}{link}")
        assert answer.headers["content-disposition"] == 'attachment; filename="jobs.jsonl"'
        rows = [json.loads(line) for line in answer.text().splitlines()]
    assert [row["id"] for row in rows if "id" in row] == ids


@pytest.mark.parametrize("width", [1400, 420])
def test_a_job_is_enqueued_by_hand_and_others_out_of_a_file(
    browser: Browser, server: Server, store: PersistentQInterface, width: int
) -> None:
    name = f"hand-{width}"
    with tab(browser, server, width=width) as page:
        page.goto(f"{server.url}/jobs?q=queue:{name}")
        page.get_by_role("button", name="Enqueue").click()
        dialog = page.get_by_role("dialog")
        for label, value in (("Task", "mail.send"), ("Queue", name)):
            dialog.get_by_label(label).fill(value)
            dialog.get_by_label(label).press("Enter")
        dialog.get_by_label("Arguments, a JSON object").fill("[1]")
        dialog.get_by_role("button", name="Enqueue").click()
        expect(dialog.get_by_text("args '[1]' is not a JSON object")).to_be_visible()
        dialog.get_by_label("Arguments, a JSON object").fill('{"n": 1}')
        dialog.get_by_role("button", name="Enqueue").click()
        expect(page.get_by_text("is pending. Until it is taken")).to_be_visible()
        page.get_by_role("button", name="Import").click()
        line = json.dumps({"task": "mail.send", "queue": name}).encode()
        file = {"name": f"{name}.jsonl", "mimeType": "text/plain", "buffer": line}
        dialog.locator("input[type=file]").set_input_files([file])  # type: ignore[list-item]
        expect(dialog.get_by_text("Enqueue 1 job?")).to_be_visible()
        dialog.get_by_role("button", name="Import", exact=True).click()
        expect(page.get_by_text("Imported 1 job.")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    imported, typed = store.list_jobs(queue=name)
    assert (typed.task, typed.args, imported.args) == ("mail.send", {"n": 1}, {})


def test_secrets_are_asked_for_and_downloaded_once(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    store.enqueue("a", {"password": "swordfish"}, queue="secret")
    with tab(browser, server) as page:
        page.goto(f"{server.url}/jobs?q=queue:secret")
        page.get_by_role("button", name="With secrets").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Reason", exact=True).fill("to move them")
        dialog.get_by_role("button", name="Export with secrets").click()
        link = dialog.get_by_role("link", name="Download jobs.jsonl").get_attribute("href")
        assert "swordfish" in page.request.get(f"{server.url}{link}").text()
        assert page.request.get(f"{server.url}{link}").status == 403
    assert [entry.reason for entry in store.list_journal(verb="reveal").items] == ["to move them"]


def test_the_activity_of_a_queue_has_charts_in_both_themes(
    browser: Browser, server: Server, store: PersistentQInterface
) -> None:
    store.enqueue("a", queue="charts")
    store.complete(store.dequeue("c1", ("charts",))[0])
    for dark in (False, True):
        with tab(browser, server, dark=dark) as page:
            page.goto(f"{server.url}/activity?queue=charts")
            expect(page.locator("[role=graphics-document]")).to_have_count(3)
            expect(page.get_by_text("Nothing in the last 15 min.")).to_have_count(1)


def test_a_viewer_with_the_password_looks_and_cannot_act(browser: Browser, tmp_path: Path) -> None:
    with open_queue(f"sqlite:///{tmp_path}/queue.db") as queue:
        job = queue.enqueue("a")
    passwords = {"OPS_PASSWORD": "sesame", "OPS_VIEWER_PASSWORD": "peep"}
    with served(tmp_path / "queue.db", tmp_path, **passwords) as server:
        with tab(browser, server, name_and_password=("vic", "peep")) as page:
            page.goto(f"{server.url}/?job={job.id}")
            expect(page.get_by_text("read-only")).to_be_visible()
            expect(page.get_by_role("button", name="Cancel job")).to_be_disabled()
        with tab(browser, server, name_and_password=("ann", "sesame")) as page:
            page.goto(f"{server.url}/?job={job.id}")
            page.get_by_role("button", name="Cancel job").click()
            page.get_by_role("dialog").get_by_role("button", name="Cancel job").click()
            expect(page.get_by_text(f"Cancel job worked for 1 job: {job.id}")).to_be_visible()
    with open_queue(f"sqlite:///{tmp_path}/queue.db") as queue:
        (entry,) = queue.list_journal().items
    assert (entry.actor, entry.verb, entry.face) == ("ann", "cancel", "dashboard")
