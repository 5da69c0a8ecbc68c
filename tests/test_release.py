"""The way to a release: its checks, the workflows and the forms of the code host."""

import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from conftest import ROOT

from qa_service import __version__
from qa_service.cli import cli

CHECKS = runpy.run_path(str(ROOT / "requirements/release.py"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def test_version_changelog_and_citation_agree() -> None:
    """And a tag of another version, or of a version without a date, is refused."""
    assert CHECKS["version_faults"]("") == []
    (fault, *_) = CHECKS["version_faults"]("v0.0.1")
    assert fault == f"the tag is v0.0.1, but the version is {__version__}; tag v{__version__}, or change the version"
    undated = "unreleased" in CHECKS["newest_changes"]()[1]
    assert bool(CHECKS["version_faults"](f"v{__version__}")) == undated


def test_files_that_are_missing_or_too_many_are_faults(tmp_path: Path) -> None:
    """So are invalid metadata and a missing licence."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: git can't list the files")
    modules = [path for path in (ROOT / "qa_service").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    names = {str(path.relative_to(ROOT)) for path in modules}
    with zipfile.ZipFile(tmp_path / "qa_service-1-py3-none-any.whl", "w") as wheel:
        for name in (names - {"qa_service/pipeline.py"}) | {"qa_service/notes.txt"}:
            wheel.writestr(name, "")
        wheel.writestr("qa_service-1.dist-info/METADATA", "Metadata-Version: 2.4\nName: qa service\nVersion: one\n\n")
    with tarfile.open(tmp_path / "qa_service-1.tar.gz", "w:gz"):
        pass
    faults = "\n".join(CHECKS["file_faults"](tmp_path))
    for expected in ("differ in qa_service/pipeline.py", "differ in qa_service/notes.txt", "differ in README.md"):
        assert expected in faults
    for expected in ("has no LICENSE", "'qa service' is invalid", "'one' is invalid", "does not describe itself"):
        assert expected in faults


def test_the_wheel_has_the_package_alone_with_the_files_of_the_reader() -> None:
    """Hatch leaves out what `.gitignore` names, models too; `training/` is of the repository, not of the package."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: git can't list the files")
    shipped = ("us-korea-relations.md", "starters.jsonl")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"] == {
        "packages": ["qa_service"],
        "force-include": {f"source_text/{name}": f"qa_service/demo_documents/{name}" for name in shipped},
    }
    lines = (ROOT / "qa_service/reading/SHA256SUMS").read_text(encoding="ascii").splitlines()
    needed = ["SHA256SUMS", "LICENSES.md", *(line.split()[1] for line in lines)]
    assert {"lower.onnx", "upper.onnx"} < set(needed)
    paths = [f"qa_service/reading/{name}" for name in needed]
    assert all((ROOT / path).is_file() for path in paths)
    command = ["git", "check-ignore", "-v", "--no-index", *paths]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode in {0, 1}, found.stderr
    assert ".gitignore" not in found.stdout


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_what_exists_with_the_least_rights(path: Path) -> None:
    """Targets of make and files; actions by their commit; no text of others in a shell; jobs that wait for jobs."""
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for step in _steps(workflow):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]) if "uses" in step else step["run"]
        command = step.get("run", "")
        assert "${{" not in command
        assert set(re.findall(r"^make ([a-z]+)", command, re.MULTILINE)) <= targets
        for program in re.findall(r"^\.[\w/]+", command, re.MULTILINE):
            assert os.access(ROOT / program, os.X_OK)
    assert len(re.findall(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", text, re.MULTILINE)) == text.count("uses:")
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] > 0
        needed = job.get("needs", [])
        assert set([needed] if isinstance(needed, str) else needed) <= workflow["jobs"].keys()


def test_only_the_jobs_that_publish_may_write() -> None:
    """Each what it publishes; nothing is published before both builds."""
    ci, release = (yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"] for path in WORKFLOWS)
    assert [job for job in ci.values() if "permissions" in job] == []
    rights = {
        name: {key for key, value in job.get("permissions", {}).items() if value == "write"}
        for name, job in release.items()
    }
    assert rights == {"build": set(), "image": {"packages"}, "pypi": {"id-token"}, "release": {"contents"}}
    assert {"build", "image"} <= set(release["pypi"]["needs"]) <= set(release["release"]["needs"]) | {"pypi"}


def test_badges_state_what_the_project_file_says() -> None:
    """Licence, lowest Python and formatter; none claims the result of a run elsewhere."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    badges = re.findall(r"https://img\.shields\.io/badge/([^)]+)\)", readme)
    licence, lowest = project["project"]["license"], project["project"]["requires-python"].removeprefix(">=")
    expected = [f"licence-{licence.replace('-', '--')}-blue", f"python-{quote('≥' + lowest)}-blue"]
    assert badges == [*expected, "code_style-Ruff-261230"]
    assert "ruff" in project["tool"]


@pytest.mark.needs("check_jsonschema")
@pytest.mark.parametrize(
    ("pattern", "schema"),
    [
        ("workflows/*.yml", "github-workflows"),
        ("ISSUE_TEMPLATE/[!c]*.yml", "github-issue-forms"),
        ("ISSUE_TEMPLATE/config.yml", "github-issue-config"),
    ],
)
def test_workflows_and_issue_forms_are_valid_against_their_schemas(pattern: str, schema: str) -> None:
    """check-jsonschema carries those of the code host."""
    files = [str(path) for path in (ROOT / ".github").glob(pattern)]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert files
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_require_something_and_name_existing_commands(path: Path) -> None:
    """Each has an obligatory field."""
    text = path.read_text(encoding="utf-8")
    assert any(field.get("validations", {}).get("required") for field in yaml.safe_load(text)["body"])
    assert set(re.findall(r"qa-service ([a-z]+)", text)) <= cli.commands.keys()
