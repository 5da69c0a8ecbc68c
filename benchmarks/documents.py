"""Compare the words of documents with those that other tools read: pandoc (2.17 or later), and pdftotext for PDF.

    python benchmarks/documents.py FOLDER [--files 200] [--worst 5]

Prints for each format the share of the other tool's words that we kept, and the share of our words that it does not
have: medians and the tenth of the files with the poorest shares. A web page is cut as people see it before pandoc reads
it: without navigation, footers, scripts and hidden elements. Words are compared as multisets, without case and without
the numbers of list items, which pandoc adds. Both tools are packages of Debian: pandoc, poppler-utils.
"""

import argparse
import random
import re
import shutil
import statistics
import subprocess
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from common import setup

from lxml import etree, html

from qa_service.loading import FORMATS, Limits, ParserProcess
from qa_service.loading.decoding import declared_encoding, decode
from qa_service.loading.markup import parse_page
from qa_service.loading.outline import ParsedDocument, UnreadableError
from qa_service.loading.visible import is_hidden, is_navigation

_WORD = re.compile(r"[^\W_]+")
_NUMBER_OF_ITEM = re.compile(r"^\s*(?:\d+|[a-z]|[ivx]+)[.)]\s", re.MULTILINE)
_SECONDS = 60
_PANDOC_FORMATS = {
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".md", ".markdown"), "gfm"),
    ".docx": "docx",
    ".epub": "epub",
    ".rst": "rst",
    ".odt": "odt",
    ".ipynb": "ipynb",
    ".org": "org",
    ".tex": "latex",
    ".rtf": "rtf",
}


@dataclass(frozen=True)
class Shares:
    """The shares of one file."""

    path: Path
    kept: float
    invented: float


def main() -> None:
    """Read, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=200, help="at most so many of each format, chosen at random")
    parser.add_argument("--worst", type=int, default=0, help="name so many files of each format that kept least")
    options = parser.parse_args()
    print(setup())
    print(f"{'format':8} {'files':>6} {'refused':>8} {'kept':>7} {'tenth':>7} {'invented':>9} {'tenth':>7}")
    for suffix, paths in sorted(_files(options.folder).items()):
        chosen = random.Random(0).sample(paths, min(options.files, len(paths)))  # noqa: S311 - no secret
        found, refused = _compared(suffix, chosen)
        if found:
            print(_line(suffix, found, refused))
        for shares in sorted(found, key=lambda one: one.kept - one.invented)[: options.worst]:
            print(f"    {shares.kept:.3f} kept, {shares.invented:.3f} invented: {shares.path}")


def _files(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        suffix = path.suffix.lower()
        tool = "pdftotext" if suffix == ".pdf" else "pandoc" if suffix in _PANDOC_FORMATS else ""
        if tool and shutil.which(tool) and path.is_file():
            found[suffix].append(path)
    return found


def _compared(suffix: str, paths: list[Path]) -> tuple[list[Shares], int]:
    """Return the shares of the files that both read, and how many we refused."""
    found: list[Shares] = []
    refused = 0
    with ParserProcess(Limits()) as parser:
        for path in paths:
            data = path.read_bytes()
            theirs = _their_words(suffix, data)
            if not theirs:
                continue
            read = parser.read(suffix, data) if FORMATS[suffix].isolated else FORMATS[suffix].read(data, Limits())
            try:
                ours = _words("\n".join(part.text for part in read if isinstance(part, ParsedDocument)))
            except UnreadableError:
                refused += 1
                continue
            kept = 1 - (theirs - ours).total() / theirs.total()
            found.append(Shares(path, kept, (ours - theirs).total() / max(1, ours.total())))
    return found, refused


def _their_words(suffix: str, data: bytes) -> Counter[str]:
    if suffix == ".pdf":
        return _words(_output(["pdftotext", "-q", "-enc", "UTF-8", "-", "-"], data))
    form = _PANDOC_FORMATS[suffix]
    if form == "html":
        data = _without_hidden(data)
    return _words(_output(["pandoc", "--sandbox", "-f", form, "-t", "plain", "--wrap=none"], data))


def _without_hidden(data: bytes) -> bytes:
    """Return a page without hidden elements and navigation."""
    try:
        tree = parse_page(decode(data, declared_encoding(data), lenient=True)[0])
    except (UnreadableError, etree.LxmlError, ValueError):
        return b""
    for element in list(tree.iter(etree.Element)):
        tag = element.tag.lower()
        if (
            tag != "head"
            and (is_hidden(element, tag) or is_navigation(element, tag))
            and element.getparent() is not None
        ):
            element.drop_tree()
    for head in tree.findall("head"):
        head.drop_tree()
    return html.tostring(tree, encoding="utf-8")


def _output(command: list[str], data: bytes) -> str:
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.decode(errors="replace")


def _words(text: str) -> Counter[str]:
    plain = unicodedata.normalize("NFKC", text).replace("\u00ad", "").casefold()
    return Counter(_WORD.findall(_NUMBER_OF_ITEM.sub(" ", plain)))


def _line(suffix: str, found: list[Shares], refused: int) -> str:
    kept = sorted(shares.kept for shares in found)
    invented = sorted(shares.invented for shares in found)
    tenth = len(found) // 10
    return (
        f"{suffix:8} {len(found):6} {refused:8} {statistics.median(kept):7.3f} {kept[tenth]:7.3f} "
        f"{statistics.median(invented):9.3f} {invented[-1 - tenth]:7.3f}"
    )


if __name__ == "__main__":
    main()
