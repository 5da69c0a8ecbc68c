"""The parts of an Office file (DOCX, PPTX, XLSX), found by their relationships."""

import zipfile
from collections.abc import Iterator
from typing import Any

from qa_service.loading.archive import DAMAGES, beside, read_xml


class OfficePackage:
    """Reads the parts of one file."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.warnings: list[str] = []
        self.main = next(target for kind, target in self.relationships("").values() if kind == "officeDocument")

    def root(self, name: str) -> Any:
        """Return the root of a part; ``None``, with a warning if it is damaged, if there is none."""
        if name not in self._archive.NameToInfo:
            return None
        try:
            return read_xml(self._archive, name)
        except DAMAGES as error:
            warning = f"{name} is damaged, and was not read ({error})"
            self.warnings += [] if warning in self.warnings else [warning]
            return None

    def open(self, name: str) -> Any:
        """Return a part as a file."""
        return self._archive.open(name)

    def relationships(self, part: str) -> dict[str, tuple[str, str]]:
        """Return the kind and the target of each relationship of a part, or of the file, by id."""
        folder, _, name = part.rpartition("/")
        entries = self.root(f"{folder}/_rels/{name}.rels".lstrip("/"))
        return {
            entry.get("Id", ""): (entry.get("Type", "").rpartition("/")[2], _target(part, entry.get("Target", "")))
            for entry in (() if entries is None else entries)
            if entry.get("TargetMode") != "External"
        }

    def related(self, part: str, kind: str) -> Iterator[Any]:
        """Yield the roots of the parts of a kind that a part refers to."""
        for found, target in self.relationships(part).values():
            root = self.root(target) if found == kind else None
            if root is not None:
                yield root


def _target(part: str, target: str) -> str:
    return target.lstrip("/") if target.startswith("/") else beside(part, target)
