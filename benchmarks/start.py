"""Print what it takes to get from nothing to a cited answer: seconds and megabytes.

    python benchmarks/start.py [slim] [full]

Runs the steps of the Dockerfile's stage ``build-slim`` or ``build`` as plain commands in a temporary folder, so that
the image's steps are tested where Docker can't run. Then it indexes two files with an empty cache and with a filled
one, and asks. A pip that is set up to take packages from elsewhere is left as it is.
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
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAGES = {"slim": "build-slim", "full": "build"}
QUESTION, ANSWER = "How many launchers are there in a THAAD battery?", "A battery has six launchers."
FILES = {"sea.txt": "The whale swims in the deep ocean. It sings for hours.\n", "zoo.md": "# Cats\n\nThe cat sleeps.\n"}


def main() -> None:
    """Measure the given kinds of installation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[*STAGES, []], default=list(STAGES))
    for kind in parser.parse_args().kinds:
        with tempfile.TemporaryDirectory(prefix=f"start-{kind}-") as folder:
            print(f"{kind}:")
            measure(STAGES[kind], Path(folder))


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


def measure(stage: str, folder: Path) -> None:
    """Run the steps of a stage, then index and ask; print seconds and megabytes."""
    app, venv = folder / "app", folder / "venv"
    app.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("QA_", "PYTHON"))}
    began = time.monotonic()
    for name, arguments in steps(stage):
        if name == "COPY":
            *sources, target = arguments.split()
            for source in sources:
                copy(ROOT / source, app / target / ("" if (ROOT / source).is_dir() else source))
        elif name == "RUN":
            timed(arguments, partial(run, as_plain(arguments, venv), app, environment))
    print(f"  {time.monotonic() - began:8.1f} s  all steps")
    for part in (venv, app / "cache", app / "index"):
        print(f"  {megabytes(part):8.1f} MB {part.name}")
    program = venv / "bin/qa-service"
    (folder / "files").mkdir()
    for name, text in FILES.items():
        (folder / "files" / name).write_text(text, encoding="utf-8")
    own = environment | {"QA_CACHE_DIR": str(folder / "cache")}
    for label, index in (("two files, nothing prepared", "first"), ("two files, another index", "second")):
        command = [program, "index", "--source", folder / "files", "--index", folder / index]
        timed(f"qa-service index: {label}", partial(run, command, folder, own))
    asked = [program, "ask", QUESTION, "--top-k", "1", "--index", app / "index"]
    answer = timed("qa-service ask", partial(run, asked, app, environment | {"QA_CACHE_DIR": str(app / "cache")}))
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
    listed = run([sys.executable, "-m", "pip", "config", "list"], ROOT, dict(os.environ))
    return re.search("find-links|index-url", listed) is not None


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
