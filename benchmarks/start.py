"""Measure an installation up to the first cited answer: seconds, and megabytes by package.

    python benchmarks/start.py [slim] [full] [wheel] [wheel-slim] [uvx] [pipx]

``slim`` and ``full`` run the steps of the Dockerfile's stage ``build-slim`` or ``build`` as plain commands in a
temporary folder, so that the image's steps are tested where Docker can't run; ``strip`` must be there. ``wheel`` and
``wheel-slim`` build the wheel and install it with uv as a tool, from an empty cache, with all it needs or without
torch; ``uvx`` runs it without an installation, ``pipx`` installs it with pipx. Then the index of two files is built
with an empty cache and with a filled one, and a question is asked. Where pip takes packages from a place of its own,
uv takes them from there too.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAGES = {"slim": "build-slim", "full": "build"}
TORCH = re.findall(r"torch==\S+", (ROOT / "Dockerfile").read_text(encoding="utf-8"))[0]
CPU_INDEX = "--pip-args=--extra-index-url=https://download.pytorch.org/whl/cpu"
WHEELS = {
    "wheel": "tool install --torch-backend cpu WHEEL",
    "wheel-slim": "tool install --excludes requirements/not-in-slim.txt WHEEL",
    "uvx": "tool run --torch-backend cpu --from WHEEL",
    "pipx": f"tool run pipx install --preinstall {TORCH} {CPU_INDEX} WHEEL",
}
BASE_IMAGE_MB = 124.84
"""On disk, 2026-08-05; docker-library/repo-info lists it in repos/python/local/3.11-slim.md."""
LARGEST = 12
QUESTION, ANSWER = "How many launchers are there in a THAAD battery?", "A battery has six launchers."
FILES = {"sea.txt": "The whale swims in the deep ocean. It sings for hours.\n", "zoo.md": "# Cats\n\nThe cat sleeps.\n"}


def main() -> None:
    """Measure the given kinds of installation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[*STAGES, *WHEELS, []], default=list(STAGES))
    for kind in parser.parse_args().kinds:
        with tempfile.TemporaryDirectory(prefix=f"start-{kind}-") as folder:
            print(f"{kind}:")
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("QA_", "PYTHON"))}
            if kind in WHEELS:
                measure_wheel(kind, Path(folder), environment)
            else:
                measure(STAGES[kind], Path(folder), environment)


def steps(stage: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions (name, arguments) of a stage of the Dockerfile, after those of the stages below it."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    starts = [place for place, line in enumerate(lines) if line.startswith("FROM ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        base, _, name = lines[start].removeprefix("FROM ").partition(" AS ")
        if name == stage:
            if any(line.endswith(f" AS {base}") for line in lines):
                yield from steps(base)
            yield from (tuple(line.split(" ", 1)) for line in lines[start + 1 : end])  # type: ignore[misc]


def measure(stage: str, folder: Path, environment: dict[str, str]) -> None:
    """Run the steps of a stage, then index and ask; print seconds and megabytes."""
    app, venv = folder / "app", folder / "venv"
    app.mkdir()
    began = time.monotonic()
    for name, arguments in steps(stage):
        if name == "COPY":
            *sources, target = arguments.split()
            for source in sources:
                copy(ROOT / source, app / target / ("" if (ROOT / source).is_dir() else source))
        elif name == "RUN" and not arguments.startswith("apt-get"):
            timed(arguments, partial(run, as_plain(arguments, venv), app, environment))
    print(f"  {time.monotonic() - began:8.1f} s  all steps")
    parts = {str(part.relative_to(folder)): megabytes(part) for part in (venv, app / "cache", app / "index")}
    for name, size in (
        parts | {"python:3.11-slim": BASE_IMAGE_MB, "in all": BASE_IMAGE_MB + sum(parts.values())}
    ).items():
        print(f"  {size:8.1f} MB {name}")
    show_packages(venv)
    use(venv / "bin/qa-service", folder, environment)
    ask(venv / "bin/qa-service", app / "index", environment | {"QA_CACHE_DIR": str(app / "cache")})


def measure_wheel(kind: str, folder: Path, environment: dict[str, str]) -> None:
    """Build the wheel, install it as a tool, then index and ask; print seconds and megabytes."""
    uv = [sys.executable, "-m", "uv"]
    timed("uv build", partial(run, [*uv, "build", "--wheel", "-o", folder / "dist", ROOT], folder, environment))
    (wheel,) = (folder / "dist").glob("*.whl")
    places = {"UV_TOOL_DIR": "tools", "UV_TOOL_BIN_DIR": "bin", "UV_CACHE_DIR": "uv-cache"}
    places |= {"PIPX_HOME": "tools", "PIPX_BIN_DIR": "bin"}
    own = environment | sources_of_pip() | {name: str(folder / place) for name, place in places.items()}
    own |= {"UV_PYTHON": sys.executable, "PIPX_DEFAULT_PYTHON": sys.executable}
    line = WHEELS[kind]
    if is_set_up():  # the place has the CPU build
        line = line.replace("--torch-backend cpu", f"--with {TORCH}").replace(CPU_INDEX, "")
    command = [*uv, *(str(wheel) if word == "WHEEL" else word for word in shlex.split(line))]
    program, index = folder / "bin/qa-service", folder / "index"
    if kind == "uvx":
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} qa-service "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        command = [str(program), "--version"]
    timed(f"uv {line}", partial(run, command, ROOT, own))
    installed = folder / ("uv-cache" if kind == "uvx" else "tools")
    print(f"  {megabytes(installed):8.1f} MB")
    show_packages(installed)
    use(program, folder, own)
    cached = own | {"QA_CACHE_DIR": str(folder / "cache")}
    run([program, "index", "--source", ROOT / "source_text", "--index", index], folder, cached)
    ask(program, index, cached)


def use(program: Path, folder: Path, environment: dict[str, str]) -> None:
    """Index two files with an empty cache and with a filled one; print seconds."""
    (folder / "files").mkdir()
    for name, text in FILES.items():
        (folder / "files" / name).write_text(text, encoding="utf-8")
    own = environment | {"QA_CACHE_DIR": str(folder / "cache")}
    for label, index in (("two files, nothing prepared", "first"), ("two files, another index", "second")):
        command = [program, "index", "--source", folder / "files", "--index", folder / index]
        timed(f"qa-service index: {label}", partial(run, command, folder, own))


def ask(program: Path, index: Path, environment: dict[str, str]) -> None:
    """Ask a question; print seconds, or exit if the answer is wrong."""
    asked = [program, "ask", QUESTION, "--top-k", "1", "--index", index]
    answer = timed("qa-service ask", partial(run, asked, index.parent, environment))
    if ANSWER not in answer:
        sys.exit(f"the answer lacks {ANSWER!r}: {answer}")


def as_plain(command: str, venv: Path) -> list[str | Path]:
    """Return a RUN instruction as a command for this machine."""
    if is_set_up():
        command = re.sub(r"--index-url \S+ ", "", command)
    python = shlex.quote(sys.executable)
    return ["bash", "-euc", re.sub(r"(?<![\w/])python -m", f"{python} -m", command).replace("/venv", str(venv))]


def is_set_up() -> bool:
    """Tell whether pip takes packages from a place of its own."""
    return re.search("find-links|index-url", pip_settings()) is not None


def sources_of_pip() -> dict[str, str]:
    """Return the settings for uv of the places from which pip takes packages."""
    names = {"find-links": "UV_FIND_LINKS", "index-url": "UV_DEFAULT_INDEX"}
    found = re.findall(r"^global\.([\w-]+)='([^']*)'", pip_settings(), re.MULTILINE)
    return {names[name]: value.replace(" ", ",") for name, value in found if name in names}


def pip_settings() -> str:
    """Return the settings of pip."""
    return run([sys.executable, "-m", "pip", "config", "list"], ROOT, dict(os.environ))


def run(command: list[str | Path], folder: Path, environment: dict[str, str]) -> str:
    """Run a command and return its output; if it fails, exit with its errors."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(label: str, action: Callable[[], str]) -> str:
    """Print the seconds of an action and return its result."""
    began = time.monotonic()
    result = action()
    print(f"  {time.monotonic() - began:8.1f} s  {label}", flush=True)
    return result


def show_packages(folder: Path) -> None:
    """Print the largest packages below a folder, with the bytecode that was installed with them."""
    site = next(folder.rglob("site-packages/qa_service")).parent
    sizes = {
        package.name: sum(
            path.stat().st_size for path in map(Path, map(package.locate_file, package.files or ())) if path.is_file()
        )
        for package in distributions(path=[str(site)])
    }
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True)[:LARGEST]:
        print(f"      {sizes[name] / 1e6:8.1f} MB  {name}")


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder without bytecode."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def megabytes(folder: Path) -> float:
    """Return the space of a folder's files, each counted once."""
    files = {status.st_ino: status.st_size for status in (path.lstat() for path in folder.rglob("*"))}
    return sum(files.values()) / 1e6


if __name__ == "__main__":
    main()
