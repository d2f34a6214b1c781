"""The dashboard as the table of every action has it: which page, which button, what is typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from streamlit import config

from ops_wishes import ANYONE
from persistentq import Act
from tests.front_ends.ops_kit import agree, choose, downloaded, select_rows, visit

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from tests.front_ends.test_every_action import Case


def by_dashboard(case: Case, reason: str) -> None:
    """Do what the case says in the dashboard of the queue that the environment names."""
    before = config.get_option("server.address")
    config.set_option("server.address", "127.0.0.1")
    try:
        app = chosen(case) if case.act else _PAGES[case.verb](case)
        for one in app.text_input:
            if one.key == "reason":
                one.set_value(reason)
            elif one.key == "number":
                one.set_value("".join(filter(str.isdigit, one.label)))
        agree(app)
        if case.act and case.act.consumer:
            # One that nobody knows is confirmed once more.
            name_consumer(app, case.act)
            agree(app)
        if tickets := [link.url for link in app.link_button if "ticket=" in link.url]:
            assert b"password" in downloaded(tickets[0])
        else:
            assert app.success, [element.value for element in app.error]
    finally:
        config.set_option("server.address", before)
        st.cache_resource.clear()


def chosen(case: Case) -> AppTest:
    """Choose the jobs, press the button and say what else must be known."""
    app, act = visit("ops_jobs.py", q=case.where), case.act
    assert act
    if case.ids:
        shown = [target.id for target in app.session_state["shown"].reading.value.targets]
        select_rows(app, [shown.index(job_id) for job_id in case.ids])
    else:
        app.toggle[0].set_value(True).run()
    app.button(key=f"act-{act.verb}").click().run()
    wish(app, act)
    return app


def wish(app: AppTest, act: Act) -> None:
    """Fill in what some acts need beside the jobs."""
    match act.verb:
        case "assign":
            name_consumer(app, act)
        case "reschedule":
            app.text_input(key="when").set_value(act.run_at.isoformat() if act.run_at else "")
        case "set-priority":
            app.number_input(key="priority").set_value(act.priority)
        case "edit-arguments":
            app.text_area(key="set").set_value(json.dumps(dict(act.arguments)))
            app.text_input(key="drop").set_value(", ".join(act.without))


def name_consumer(app: AppTest, act: Act) -> None:
    """Choose the consumer; AppTest knows no typing of others than those on offer, as a browser does."""
    name, box = act.consumer or ANYONE, app.selectbox[-1]
    box.options = [*dict.fromkeys([*box.options, name])]
    box.set_value(name)


def _undo(case: Case) -> AppTest:
    app = visit("ops_journal.py")
    app.selectbox(key="entry").set_value(int(case.typed[-1])).run()
    return app.button(key="undo-entry").click().run()


def _pause(case: Case) -> AppTest:
    app = visit("ops_queues.py", queue="mail").button(key="pause").click().run()
    app.selectbox(key="limit").set_value("1 h" if "--for" in case.typed else "until resumed")
    return app


def _resume(case: Case) -> AppTest:
    return visit("ops_queues.py", queue=case.typed[-1]).button(key="resume").click().run()


def _reveal(case: Case) -> AppTest:
    if case.typed[0] == "show":
        return visit(job="1").button(key="reveal").click().run()
    app = visit("ops_jobs.py", q=case.typed[3]).button(key="with-secrets").click().run()
    app.radio(key="secrets-format").set_value("csv").run()
    return app


def _enqueue(case: Case) -> AppTest:
    options = dict(zip(case.typed[2::2], case.typed[3::2], strict=True))
    name, _, value = options["--arg"].partition("=")
    app = visit("ops_jobs.py").button(key="enqueue").click().run()
    choose(app, "new-task", case.typed[1])
    choose(app, "new-queue", options["--queue"])
    app.text_area(key="new-args").set_value(json.dumps({name: json.loads(value)}))
    app.number_input(key="new-priority").set_value(int(options["--priority"]))
    app.text_input(key="new-run-at").set_value(options["--at"])
    app.text_input(key="new-tags").set_value(options["--tag"])
    return app


def _import(case: Case) -> AppTest:
    file = Path(case.typed[1])
    app = visit("ops_jobs.py").button(key="import").click().run()
    app.file_uploader[0].set_value((file.name, file.read_bytes(), "application/jsonl"))
    return app.run()


_PAGES: Mapping[str, Callable[[Case], AppTest]] = {
    "undo": _undo,
    "pause": _pause,
    "resume": _resume,
    "reveal": _reveal,
    "enqueue": _enqueue,
    "import": _import,
}
