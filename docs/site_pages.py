"""A hook of mkdocs: pages outside docs/ join the site, so that links work there as they do on a code host.

Every file is named by its path in the repository. ARCHITECTURE.md and the like become pages; any other file that a page
links to, and that the site does not contain, becomes a page with its text.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_LINK = re.compile(r"(?<=\]\()[\w./-]+\.\w+(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Name files by their paths in the repository, and add those outside docs/."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
        files.append(_file(config, f"{docs.name}/{file.src_uri}", file.dest_uri, file.inclusion))
    for name in PAGES:
        files.append(_file(config, name, f"{Path(name).stem.lower()}.html"))
    pages = [file for file in files.documentation_pages() if not file.inclusion.is_excluded()]
    for path in sorted(
        {path for page in pages for path in _without_page(page.content_string, page, files, root).values()}
    ):
        files.append(_code_page(config, path, (root / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files without a page lead to the pages with their text."""
    links = _without_page(markdown, page.file, files, Path(config.config_file_path).parent)
    return _LINK.sub(lambda link: f"{link[0]}.md" if link[0] in links else link[0], markdown)


def _file(config: MkDocsConfig, path: str, to: str, inclusion: InclusionLevel = InclusionLevel.INCLUDED) -> File:
    root = str(Path(config.config_file_path).parent)
    return File(path, root, config.site_dir, config.use_directory_urls, dest_uri=to, inclusion=inclusion)


def _code_page(config: MkDocsConfig, path: str, text: str) -> File:
    fence = "``````"
    language = Path(path).suffix.removeprefix(".")
    content = f"---\nsearch: {{exclude: true}}\n---\n# {path}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
    file = File.generated(config, f"{path}.md", content=content, inclusion=InclusionLevel.NOT_IN_NAV)
    file.dest_uri = f"code/{path}.html"
    return file


def _without_page(markdown: str, file: File, files: Files, root: Path) -> dict[str, str]:
    """Return the links of a page to files that the site does not have, each with its path in the repository."""
    folder = posixpath.dirname(file.src_uri)
    paths = {link: posixpath.normpath(posixpath.join(folder, link)) for link in _LINK.findall(markdown)}
    return {link: path for link, path in paths.items() if (root / path).is_file() and not _has(files, path)}


def _has(files: Files, path: str) -> bool:
    file = files.get_file_from_path(path)
    return file is not None and not file.inclusion.is_excluded()
