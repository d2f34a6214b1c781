"""Jobs out of a file: it is looked at as a whole, what would come of it is said, and only then are they enqueued."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

import ops_dialog
import ops_forms
import ops_live
from ops_dialog import Told
from persistentq.operations import safe
from persistentq.operations.formats import Format, format_of
from persistentq.operations.importing import ImportPreview, ImportResult
from persistentq.operations.typed import with_reason
from persistentq.text import counted

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

KINDS = (Format.JSONL, Format.CSV)


def button() -> None:
    """Draw the button that asks for a file."""
    ops_forms.opens("Import", "import", ask)


def ask() -> None:
    """Ask for a file, say what would come of it and, when that is agreed to, enqueue its jobs."""
    given = st.file_uploader(
        "File", list(map(str, KINDS)), key="file", help="As export writes it, or made by hand"
    )
    again = st.checkbox("Also those that are done, failed or cancelled", key="again")
    repeat = st.checkbox("Although the same file was imported before", key="repeat")
    seen = None if given is None else _look(given, again=again, repeat=repeat)
    is_off = seen is None or bool(seen.problems) or seen.begun == seen.count
    reason, is_agreed = ops_forms.agreed("Import", is_off=is_off)
    if is_agreed and given is not None and seen is not None:
        with st.spinner("Import"), _file_of(given) as path, ops_live.acting() as operator:
            result = operator.import_jobs(replace(seen, path=path), reason=reason)
        ops_dialog.settle(told_of(result))
    options = [word for word, is_on in (("--again", again), ("--repeat", repeat)) if is_on]
    name = "FILE" if given is None else given.name
    ops_dialog.in_a_terminal(*with_reason(["import", *options, name], reason))


def _look(given: UploadedFile, *, again: bool, repeat: bool) -> ImportPreview:
    """Return what would come of it, read once for each choice, and say so."""
    choice = given.file_id, again, repeat
    kept: tuple[object, ImportPreview] | None = st.session_state.get("import_seen")
    if kept is not None and kept[0] == choice:
        seen = kept[1]
    else:
        with st.spinner("Import"), _file_of(given) as path, ops_live.acting() as operator:
            operator.may("import")
            seen = operator.preview_import(path, format_of(path), again=again, repeat=repeat)
        st.session_state["import_seen"] = choice, seen
    _say(seen)
    return seen


@contextmanager
def _file_of(given: UploadedFile) -> Iterator[Path]:
    """Give what was uploaded as a file of its own name, which is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(given.name).name or "file")
        path.write_bytes(given.getbuffer())
        yield path


def _say(seen: ImportPreview) -> None:
    if seen.problems:
        st.error(
            f"{counted(seen.bad, 'line')} must be mended first; nothing is imported.", icon=":material/error:"
        )
        st.code(
            "\n".join(safe(problem.summary, 300) for problem in seen.problems), language=None, wrap_lines=True
        )
        return
    left = seen.count - seen.begun
    st.text(f"Enqueue {counted(left, 'job')}?" if left else "Nothing of it is left to enqueue.")
    if seen.finished:
        counts = ", ".join(f"{number:,} {status}" for status, number in seen.finished.items())
        st.caption(f"Passed over, being finished: {counts}.")
    if seen.begun and seen.entry is not None:
        st.caption(f"{seen.begun:,} were imported before, as entry {seen.entry.id} of the journal tells.")


def told_of(result: ImportResult) -> Told:
    """Return an import's result in words."""
    return Told(
        f"Imported {counted(result.enqueued, 'job')}." if result.enqueued else "",
        f"{counted(result.existing, 'job')} exist already: an unfinished job has their unique key."
        if result.existing
        else "",
        f"{counted(result.failed, 'job')} were not reached: {result.error.summary}. "
        "Import the same file again: it goes on where it stopped."
        if result.error
        else "",
        entry=result.entry if result.enqueued else None,
    )
