"""Check a release: `release.py version [TAG]` before it is built, `release.py files DIST` after; for `make release`."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

from packaging.metadata import Metadata

from qa_service import __version__

ROOT = Path(__file__).parent.parent
NOTES = ROOT / "dist/notes.md"
DEMO_DOCUMENTS = {f"qa_service/demo_documents/{name}" for name in ("starters.jsonl", "us-korea-relations.md")}
NOT_IN_SDIST = (".ci/",)


def main() -> None:
    """Run one of the two checks; exit with 1 and a line for each fault."""
    command, value = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    faults = version_faults(value) if command == "version" else file_faults(Path(value))
    if faults:
        sys.exit("\n".join(faults))
    if command == "version":
        NOTES.parent.mkdir(exist_ok=True)
        NOTES.write_text(newest_changes()[2], encoding="utf-8")


def newest_changes() -> tuple[str, str, str]:
    """Return version, date and text of the first section of CHANGELOG.md."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(r"^## \[([^\]]+)\] - (\S+)\n(.*?)(?=^## |\Z)", changes, re.MULTILINE | re.DOTALL)
    return ("", "", "") if section is None else (section[1], section[2], section[3].strip() + "\n")


def version_faults(tag: str) -> list[str]:
    """Compare the version with CITATION.cff, CHANGELOG.md and, if there is one, the tag."""
    faults = []
    if f"\nversion: {__version__}\n" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8"):
        faults.append(f"CITATION.cff does not have version {__version__}; it must match qa_service/__init__.py")
    version, date, _ = newest_changes()
    if version != __version__:
        faults.append(f"CHANGELOG.md begins with {version!r}; write `## [{__version__}] - DATE`")
    if tag and tag != f"v{__version__}":
        faults.append(f"the tag is {tag}, but the version is {__version__}; tag v{__version__}, or change the version")
    if tag and not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        faults.append(f"CHANGELOG.md has {date!r} as the date of {version}; write the day of the release")
    return faults


def file_faults(dist: Path) -> list[str]:
    """Compare the names in wheel and sdist with the files that git tracks, and validate the metadata."""
    tracked = set(
        subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    )
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        licences = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    with tarfile.open(sdist) as tar:
        in_sdist = {member.name.partition("/")[2] for member in tar if member.isfile()} - {"PKG-INFO"}
    package = {name for name in tracked if name.startswith("qa_service/")} | DEMO_DOCUMENTS
    source = {name for name in tracked if not name.startswith(NOT_IN_SDIST)}
    faults = [f"{wheel.name} and the repository differ in {name}" for name in sorted(in_wheel ^ package)]
    faults += [f"{sdist.name} and the repository differ in {name}" for name in sorted(in_sdist ^ source)]
    if not licences:
        faults.append(f"{wheel.name} has no LICENSE")
    try:
        Metadata.from_email(metadata, validate=True)
    except ExceptionGroup as group:
        faults += [f"{wheel.name}: {error}" for error in group.exceptions]
    if "# qa_service" not in BytesParser().parsebytes(metadata).get_payload():
        faults.append(f"{wheel.name} does not describe itself by README.md")
    return faults


if __name__ == "__main__":
    main()
