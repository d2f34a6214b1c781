"""Where settings come from, and what is said of bad ones."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from persistentq import ConfigurationError, load_settings
from persistentq.redaction import SECRETS
from persistentq.settings import SETTINGS

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"


def test_the_defaults(tmp_path: Path) -> None:
    settings = load_settings({}, tmp_path)
    assert settings.db_file == tmp_path / "queue.db"
    assert settings.job_files_dir == tmp_path / "job_files"
    assert (settings.db_url, settings.consumer_id, settings.env_file) == (None, None, None)
    assert (settings.max_attempts, settings.lease, settings.interval) == (
        3,
        timedelta(minutes=1),
        timedelta(seconds=5),
    )
    assert settings.lock_timeout == timedelta(seconds=10)


def test_what_operators_may_do_and_see(tmp_path: Path) -> None:
    settings = load_settings({}, tmp_path)
    assert (settings.is_readonly, settings.trash) == (False, timedelta(days=7))
    assert settings.redacted == SECRETS
    strict = load_settings({"QUEUE_READONLY": "yes", "REDACT": "iban, card_*,", "TRASH_DAYS": "0"}, tmp_path)
    assert (strict.is_readonly, strict.redacted, strict.trash) == (True, ("iban", "card_*"), timedelta(0))
    assert load_settings({"REDACT": "none"}, tmp_path).redacted == ()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_ATTEMPTS=7\nTIMEOUT_SECONDS=9\n")
    settings = load_settings({"MAX_ATTEMPTS": "8"}, tmp_path)
    assert (settings.max_attempts, settings.lease) == (8, timedelta(seconds=9))
    assert settings.env_file == tmp_path / ".env"


def test_spaces_quotes_and_comments_are_valid(tmp_path: Path) -> None:
    """The documentation writes `INTERVAL_TIME = 5`."""
    (tmp_path / ".env").write_text(
        "INTERVAL_TIME = 5\n# a comment\nMAX_ATTEMPTS='4' # why\nQUEUE_DB_FILE = \"a b.db\"\n"
    )
    settings = load_settings({}, tmp_path)
    assert (settings.interval, settings.max_attempts) == (timedelta(seconds=5), 4)
    assert settings.db_file == tmp_path / "a b.db"


def test_the_nearest_file_upwards_is_read_and_its_folder_is_where_paths_start(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / ".env").write_text("QUEUE_DB_FILE=data/queue.db\n")
    settings = load_settings({"JOB_FILES_DIR": "files"}, deep)
    assert settings.db_file == tmp_path / "data" / "queue.db"
    assert settings.job_files_dir == deep / "files"
    (tmp_path / "a" / ".env").write_text("")
    assert load_settings({}, deep).db_file == deep / "queue.db"


def test_an_empty_value_is_none(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QUEUE_DB_URL=\nMAX_ATTEMPTS=\n")
    settings = load_settings({"CONSUMER_ID": ""}, tmp_path)
    assert (settings.db_url, settings.consumer_id, settings.max_attempts) == (None, None, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MAX_ATTEMPTS", "0"),
        ("MAX_ATTEMPTS", "three"),
        ("MAX_ATTEMPTS", "2.5"),
        ("TIMEOUT_SECONDS", "0"),
        ("TIMEOUT_SECONDS", "nan"),
        ("TIMEOUT_SECONDS", "1e400"),
        ("INTERVAL_TIME", "-1"),
        ("INTERVAL_TIME", "soon"),
        ("QUEUE_LOCK_TIMEOUT", "inf"),
        ("CONSUMER_ID", "no spaces"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("QUEUE_READONLY", "perhaps"),
        ("TRASH_DAYS", "-1"),
        ("TRASH_DAYS", "a week"),
    ],
)
def test_a_bad_value_names_key_value_and_place(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({key: value}, tmp_path)
    for part in (key, value, "the environment"):
        assert part in caught.value.summary
    (tmp_path / ".env").write_text(f"{key}={value}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings({}, tmp_path)
    assert str(tmp_path / ".env") in caught.value.summary


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"QUEUE_DB_FILE=\xff\xfe\n")
    with pytest.raises(ConfigurationError, match=r"\.env"):
        load_settings({}, tmp_path)


def test_the_example_shows_every_setting_with_its_default() -> None:
    text = EXAMPLE.read_text()
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    shown = dict(line.split("=", 1) for line in lines if line.partition("=")[0].replace("_", "").isupper())
    assert shown == {setting.key: setting.default for setting in SETTINGS}
    for setting in SETTINGS:
        assert f"# {setting.unit}: {setting.help}\n" in text
