"""The npm package of the chat widget: its files, its types, and a program that is built with it."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from needs import BROWSER, require

require(*BROWSER)

from conftest import ROOT
from documentation_sites import ANSWER, INTEGRATIONS, opened, site_and_service
from packages import npm_install, npm_packed, run
from playwright.sync_api import Browser, expect
from processes import PATIENCE

from qa_service.pipeline import QuestionAnswerer
from qa_service.server.keys import KeyFile
from qa_service.settings import Settings

PACKAGE = INTEGRATIONS / "npm"
WIDGET = ROOT / "qa_service/server/widget"
SECTIONS = {"Attributes": r"^  \"?([\w-]+)\"?\?:", "Events and methods": r'^  "(qa-[\w-]+)": CustomEvent'}
"""Sections of docs/widget.md whose tables name what has a type, and how types/index.d.ts writes it."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Copy the package and the files that it is built from."""
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/openapi.json", tmp_path / "docs")
    shutil.copytree(WIDGET, tmp_path / "qa_service/server/widget")
    ignored = shutil.ignore_patterns("node_modules", "dist", "openapi.d.ts")
    return Path(shutil.copytree(PACKAGE, tmp_path / "integrations/npm", ignore=ignored))


def modules(folder: Path) -> dict[str, bytes]:
    """Return the modules of the widget."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("playground")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.suffix == ".js"}


@pytest.mark.parametrize("section", SECTIONS)
def test_all_documented_attributes_and_events_have_types(section: str) -> None:
    """Those of docs/widget.md."""
    page = (ROOT / "docs/widget.md").read_text(encoding="utf-8")
    table = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w-]+)`", row)
    }
    types = (PACKAGE / "types/index.d.ts").read_text(encoding="utf-8")
    assert len(documented) >= 5
    assert documented <= set(re.findall(SECTIONS[section], types, re.MULTILINE))


@pytest.mark.needs("npm")
def test_the_package_has_the_modules_of_the_service(package: Path) -> None:
    """All but the playground's, byte for byte."""
    (package / "dist").mkdir()
    (package / "dist/old.js").write_text("left over", encoding="utf-8")
    subprocess.run(["node", "build.mjs"], cwd=package, check=True)
    assert "qa-chat-define.js" in modules(WIDGET)
    assert modules(package / "dist") == modules(WIDGET)
    assert {path.suffix for path in (package / "dist").rglob("*") if path.is_file()} == {".js"}


@pytest.mark.needs("npm")
def test_a_typed_react_program_is_built_with_the_package_and_asks(
    package: Path,
    browser: Browser,
    answerer: QuestionAnswerer,
    settings: Settings,
    tmp_path: Path,
) -> None:
    """With a key. TypeScript finds no error in the example, and each of the errors that its types must show."""
    npm_install(package)
    (archive,) = npm_packed(package, package)
    with tarfile.open(archive) as tar:
        packed = {name.removeprefix("package/") for name in tar.getnames()}
    types = {f"types/{name}.d.ts" for name in ("index", "define", "react", "openapi")}
    assert packed == {"package.json", "README.md", "LICENSE", *types, *(f"dist/{name}" for name in modules(WIDGET))}
    example = package / "example"
    npm_install(example)
    run("npm", "run", "types", cwd=example)
    closed = settings.model_copy(update={"access": "keys"})
    with site_and_service(tmp_path / "site", answerer, closed) as (site, endpoint), opened(browser) as (page, faults):
        key = KeyFile(settings.data).create("page", ("ask",), publishable=True, origins=(site,))
        manifest = example / "package.json"
        text = manifest.read_text(encoding="utf-8")
        manifest.write_text(text.replace("http://127.0.0.1:8000", endpoint).replace("pk_…", key), encoding="utf-8")
        run("npm", "run", "build", cwd=example)
        shutil.copy(example / "index.html", tmp_path / "site")
        shutil.copytree(example / "site", tmp_path / "site/site")
        page.goto(f"{site}/index.html")
        page.get_by_role("button", name="About the cat").click()
        expect(page.locator("output")).to_have_text(ANSWER, timeout=1000 * PATIENCE)
        expect(page.locator("qa-chat [part~=send]")).to_have_text("Go")
        expect(page.locator("qa-chat")).to_have_attribute("top-k", "2")
        assert faults == []
