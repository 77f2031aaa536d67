"""What every file of the project keeps to, checked without git, so that it works in any copy of the tree."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED_FOLDERS = {"__pycache__", "node_modules", "build", "dist"}
KEPT_DOT_FOLDERS = {".ci"}
GENERATED = {"docs/configuration.md", "docs/commands.md"}
# Where one idea in a file is a matter of lines. Data (tables, notebooks, locks, schemas) is as long as it is.
WRITTEN = {"", ".css", ".html", ".js", ".md", ".py", ".sh", ".toml", ".ts", ".txt", ".yaml", ".yml"}
LONGEST = 500


def files() -> Iterator[Path]:
    """Every file of the project, below ROOT."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(
            name
            for name in folders
            if name not in SKIPPED_FOLDERS and not name.endswith(".egg-info") and (not name.startswith(".") or name in KEPT_DOT_FOLDERS)
        )
        for name in sorted(names):
            yield (Path(folder) / name).relative_to(ROOT)


def texts() -> Iterator[tuple[Path, str]]:
    """Every file that is text, with what it holds."""
    for file in files():
        try:
            yield file, (ROOT / file).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def run(*command: str) -> None:
    """Run a checker on the tree; what it found is the failure."""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def found(pattern: str, flags: int = 0) -> list[str]:
    """`file:line: what` for each place where the pattern is, this file aside."""
    words = re.compile(pattern, flags)
    return [
        f"{file}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for file, text in texts()
        if (ROOT / file).resolve() != Path(__file__).resolve()
        for match in words.finditer(text)
    ]


def test_the_walk_finds_the_project() -> None:
    names = {str(file) for file in files()}
    assert {"elabs", "elabs.yaml", "src/elabs/config/model.py", "tests/unit/test_quality.py", ".importlinter"} <= names
    assert not any("__pycache__" in name or name.startswith(".git/") for name in names)


def test_ruff() -> None:
    run(sys.executable, "-m", "ruff", "check", "--no-cache", "--quiet", ".")


def test_format() -> None:
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", "--quiet", ".")


def test_types() -> None:
    run(sys.executable, "-m", "mypy", "--no-error-summary")


def test_layers() -> None:
    run(sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache")


def test_layers_know_every_part() -> None:
    parts = {f"elabs.{entry.name}" for entry in (ROOT / "src/elabs").iterdir() if (entry / "__init__.py").exists()}
    assert parts - {"elabs.lab"} <= set(re.findall(r"elabs\.\w+", (ROOT / ".importlinter").read_text().split("[importlinter:contract:lab]")[0]))


def test_no_file_is_long() -> None:
    long = {str(file): text.count("\n") for file, text in texts() if file.suffix in WRITTEN and str(file) not in GENERATED and text.count("\n") >= LONGEST}
    assert not long


def test_every_module_says_its_idea_first() -> None:
    for file, text in texts():
        if file.suffix == ".py" and text.strip() and file.parts[0] in ("src", "tests", "benchmarks"):
            assert re.match(r'(#!.*\n)?[rR]?"""\S', text), f"{file} has no docstring at its beginning"


def test_nothing_is_left_for_later() -> None:
    assert not found(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")


# The names are joined here, so that this file does not hold them either.
HOSTS = [
    "pypi" + r"\.org",
    "python" + r"hosted\.",
    "debian" + r"\.org",
    "ubuntu" + r"\.com",
    "npmjs" + r"\.",
    "yarnpkg" + r"\.",
    "conda" + r"\.(anaconda|io)",
    r"cran\.r-" + "project",
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_package_index_or_mirror_is_named(host: str) -> None:
    assert not found(host, re.IGNORECASE)


def test_locks_name_no_places() -> None:
    assert not [file for file, text in texts() if file.name == "package-lock.json" and '"res' + 'olved"' in text]


def test_no_path_of_the_machine_it_was_written_on() -> None:
    assert not found(r"(?<![\w.])/(work|var/tmp/(dev|try))")


def test_lines_end_plainly() -> None:
    for file, text in texts():
        if file.suffix in WRITTEN:
            assert "\r" not in text, file
            assert not text or text.endswith("\n"), file
            assert not re.search(r"[ \t]+$", text, re.MULTILINE), file
