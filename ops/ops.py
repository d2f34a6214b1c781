"""The dashboard: `streamlit run ops/ops.py`, or `python ops/ops.py`; http://localhost:8501, for this machine only.

Streamlit loads this file once, as the module `ops`, and runs `ops_page.py` for every visit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

_HERE = Path(__file__).resolve()
# A checkout's own library wins over an installed one. In a wheel this folder lies inside the library.
if (_HERE.parents[1] / "persistentq" / "__init__.py").is_file():
    sys.path.insert(0, str(_HERE.parents[1]))

import ops_download  # noqa: E402 - the path is set above
import ops_guard  # noqa: E402
import ops_http  # noqa: E402
from persistentq.errors import PersistentQError  # noqa: E402
from persistentq.settings import load_settings  # noqa: E402


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Become `streamlit run` on this file, with further Streamlit options if any; does not return."""
    options = sys.argv[1:] if argv is None else argv
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(_HERE), *options])


def _keys() -> ops_guard.Keys:
    try:
        keys = ops_guard.Keys.of(load_settings())
    except PersistentQError as error:
        raise _refused(error.summary, error.hint) from None
    if why := ops_guard.refusal(st.get_option("server.address"), keys):
        raise _refused(why, ops_guard.HINT)
    return keys


def _refused(why: str, hint: str) -> SystemExit:
    sys.stderr.write(f"error: {why}\nhint: {hint}\n")
    return SystemExit(2)


if __name__ == "__main__":
    main()

os.umask(0o077)
# Streamlit reads this file's text for such a line, and takes a file without one for a page: nothing would be guarded.
app = st.App(
    _HERE.with_name("ops_page.py"),
    routes=[*ops_http.ROUTES, *ops_download.ROUTES],
    middleware=[
        Middleware(
            TrustedHostMiddleware,
            allowed_hosts=st.get_option("server.allowedHosts") or None,
            www_redirect=False,
        ),
        Middleware(ops_guard.Guard, keys=_keys()),
    ],
)
