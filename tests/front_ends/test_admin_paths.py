"""delete-job-files under five hundred paths: nothing is touched but the producer's unneeded files below them."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from persistentq import PersistentQInterface
from persistentq.job_files import SIGNATURE
from tests.front_ends.admin_kit import a_store, run

NUMBER = 500
STAMPED = SIGNATURE + b"content\n2026-11-24T12:00:00.000000Z consumer_00 attempt 1\n"
NAMES = (
    "files",
    "a b",
    "日本",
    "new\nline",
    "-dash",
    "..dots",
    "'quote'",
    "*",
    "~",
    "$HOME",
    "\x1b[2J",
    "e\u0301",
)

Tree = dict[str, str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersistentQInterface]:
    for name in ("queue", "home/user", "tree/cwd"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "user"))
    monkeypatch.chdir(tmp_path / "tree" / "cwd")
    yield from a_store(tmp_path / "queue", monkeypatch)


def job_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(STAMPED)
    return path


def plant(top: Path, store: PersistentQInterface) -> None:
    """Make a tree with files to delete, files to leave, and every way out of it that a link can be."""
    for place in [top / "tree/cwd" / name for name in NAMES] + [
        top / "outside",
        top / "home/user",
        top / "tree",
    ]:
        job_file(place / "job-done.txt")
        job_file(place / "deep" / "er" / "job-new\nline.txt")
        store.enqueue("file.stamp", {"path": str(job_file(place / "job-needed.txt"))})
        (place / "job-foreign.txt").write_text("not the producer's")
        (place / "notes.txt").write_bytes(STAMPED)
        (place / "job-.txt").mkdir()
        os.mkfifo(place / "job-fifo.txt")
    for name in NAMES:
        inside = top / "tree/cwd" / name
        (inside / "out").symlink_to(top / "outside")
        (inside / "home").symlink_to(top / "home" / "user")
        (inside / "root").symlink_to("/")
        (inside / "loop").symlink_to(inside)
        (inside / "job-link.txt").symlink_to(top / "outside" / "job-done.txt")
        (inside / "job-nowhere.txt").symlink_to(top / "nowhere")
    linked = top / "tree/cwd/files/job-shared.txt"
    linked.hardlink_to(top / "outside/job-done.txt")
    # A live job's file by another name: through a link.
    store.enqueue("file.stamp", {"path": str(top / "tree/cwd/files/out/job-done.txt")})


def tree(top: Path) -> Tree:
    """Return what every name below `top` is: a digest of a file's content, where a link leads."""
    found: Tree = {}
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found[str(path)] = f"-> {path.readlink()}"
            elif stat.S_ISREG(mode):
                found[str(path)] = sha256(path.read_bytes()).hexdigest()
            else:
                found[str(path)] = oct(stat.S_IFMT(mode))
    return found


def generated(top: Path) -> list[str]:
    """Return paths of every kind, most of them composed by chance; the same each time."""
    chance = random.Random(4)
    steps = (
        *NAMES,
        *(".", "..", "", "out", "home", "root", "loop", "deep", "er", "job-done.txt", "missing", "cwd"),
    )
    starts = (
        "",
        "",
        "",
        "/",
        "./",
        "../",
        "../../",
        f"{top}/",
        f"{top}/tree/cwd/",
        f"{top}/home/",
        "~/",
        "//",
    )
    here = ("", "./", "../cwd/", "../../tree/cwd/", f"{top}/tree/cwd/", "files/../")
    below = (
        "",
        "/",
        "/.",
        "/deep",
        "/deep/er/..",
        "/deep/../deep",
        "/loop",
        "/loop/loop/deep",
        "/out",
        "/out/deep",
    )
    fixed = [
        "",
        ".",
        "..",
        "/",
        "//",
        "/.",
        "/..",
        "~",
        "$HOME",
        str(top / "home/user"),
        str(top / "home"),
        "-",
        "--",
    ]
    fixed += [
        f"{top}/tree/cwd/files/root",
        "files/home",
        "files/home/..",
        "files/root/tmp/..",
        "\0",
        "a\0b",
        "x" * 5_000,
    ]
    made = dict.fromkeys(fixed)
    while len(made) < NUMBER:
        path = chance.choice(starts) + "/".join(chance.choices(steps, k=chance.randint(1, 5)))
        if chance.random() < 0.5:
            path = "".join(map(chance.choice, (here, NAMES, below)))
        if is_ours(path, top):
            made[path] = None
    return list(made)


def is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # a name that is too long


def is_ours(path: str, top: Path) -> bool:
    """Whether a composed path leads into the tree, or nowhere: a test does not walk through a whole machine."""
    real = Path(os.path.realpath(path))
    return real.is_relative_to(top) or not is_folder(real) or real == Path("/")


def may_go(before: Tree, path: str, needed: set[str]) -> set[str]:
    """Return the files that a deletion below a path may remove, by rules of this test's own."""
    real = os.path.realpath(path) if "\0" not in path else "/nowhere"
    home = Path(os.environ["HOME"])
    if not is_folder(Path(path)) or home.is_relative_to(real):
        return set()
    content = sha256(STAMPED).hexdigest()
    return {
        name
        for name, what in before.items()
        if Path(name).is_relative_to(real)
        and what == content
        and Path(name).name.startswith("job-")
        and Path(name).name.endswith(".txt")
        and name not in needed
    }


# Five hundred calls of the command: a machine that is busy with other things needs two minutes for them.
@pytest.mark.timeout(400)
def test_five_hundred_paths(store: PersistentQInterface, tmp_path: Path) -> None:
    plant(tmp_path, store)
    needed = {os.path.realpath(str(job.args["path"])) for job in store.list_jobs(limit=1000)}
    whole = {name: what for name, what in tree(tmp_path).items() if "/queue/" not in name}
    paths = generated(tmp_path)
    deletions = refusals = 0
    for path in paths:
        ended = run("delete-job-files", f"--directory={path}", "--yes")
        after = {name: what for name, what in tree(tmp_path).items() if "/queue/" not in name}
        gone = whole.keys() - after.keys()
        assert gone == may_go(whole, path, needed), (path, ended)
        assert after == {name: what for name, what in whole.items() if name not in gone}, path
        assert ended.code in {0, 2}, (path, ended)
        assert {char for char in ended.out + ended.err if not char.isprintable()} <= {"\n"}
        for name in gone:
            job_file(Path(name))
        deletions += bool(gone)
        refusals += ended.code == 2
    assert len(set(paths)) == NUMBER
    assert min(deletions, refusals) > 50


@pytest.mark.parametrize("path", ["/", "//", "..", "../..", "~"])
def test_what_holds_the_home_folder_is_refused(
    store: PersistentQInterface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    home = tmp_path / "home" / "user"
    planted = job_file(home / "job-done.txt")
    (home / "deep").mkdir()
    monkeypatch.chdir(home / "deep")
    words = str(home) if path == "~" else path
    code, out, err = run("delete-job-files", "--directory", words, "--yes")
    assert (code, out) == (2, "")
    assert "holds your home directory" in err
    assert planted.exists()
