"""How the dashboard is set up: for this machine only, found from anywhere, and no way for markup."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.front_ends.ops_server import OPS


def test_no_page_lets_markup_through() -> None:
    for file in OPS.glob("*.py"):
        source = file.read_text()
        assert "unsafe_allow_html" not in source
        assert "st.html" not in source
        assert "st.map" not in source


def test_no_button_is_primary() -> None:
    """Its words are white, and would not stand out from the dark theme's colour."""
    assert not any('type="primary"' in file.read_text() for file in OPS.glob("*.py"))


def test_there_is_no_init_file() -> None:
    assert not (OPS / "__init__.py").exists()


def test_the_configuration_is_found_from_any_directory(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", _SHOW_OPTIONS, str(OPS / "ops.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    wanted = "127.0.0.1 8501 True False none ['localhost', '127.0.0.1'] True none minimal False False"
    assert shown.stdout.splitlines()[-1] == wanted


_SHOW_OPTIONS = """
import sys
from streamlit import config
config._main_script_path = sys.argv[1]
names = "server.address server.port server.headless browser.gatherUsageStats server.fileWatcherType"
names += " server.allowedHosts server.enableXsrfProtection client.showErrorDetails client.toolbarMode"
names += " runner.magicEnabled client.showErrorLinks"
print(*(config.get_option(name) for name in names.split()))
"""
