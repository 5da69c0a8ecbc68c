"""Build hook: the package has ``qa_service.client`` of the service, and the modules that it imports, under its name."""

import ast
import re
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SERVICE, CLIENT = "qa_service", "qa_service_client"


class ServiceModules(BuildHookInterface[Any]):
    """Adds the modules; an unpacked sdist has them already."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Copy the modules with the name of this package in their imports."""
        service = Path(self.root).parent.parent / SERVICE
        if not service.is_dir():
            return
        self._copies = tempfile.TemporaryDirectory()
        for number, path in enumerate(sorted(reached(service / "client/__init__.py", service))):
            copy = Path(self._copies.name, str(number))
            text = path.read_text(encoding="utf-8")
            copy.write_text(re.sub(rf"\b{SERVICE}(?=\.\w)", CLIENT, text), encoding="utf-8")
            build_data["force_include"][str(copy)] = f"{CLIENT}/{path.relative_to(service).as_posix()}"

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Delete the copies."""
        if hasattr(self, "_copies"):
            self._copies.cleanup()


def reached(start: Path, service: Path) -> set[Path]:
    """Return the files of the modules of the service that a module imports, with those that they import in turn."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.parent != service and path.name != "__init__.py":
            waiting.append(path.parent / "__init__.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{SERVICE}."):
                module = service.joinpath(*str(node.module).split(".")[1:])
                waiting.append(module / "__init__.py" if module.is_dir() else module.with_suffix(".py"))
    return found
