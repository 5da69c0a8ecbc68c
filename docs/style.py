"""Check the English of code and documents.

It reads string literals, docstrings and comments of Python files, and the text of Markdown files. It finds the worst
words of docs/style.md, and sentences that begin with *What*, *Of* or *Who* but are no questions.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("qa_service", "tests", "docs", "benchmarks", "training", "integrations")
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")
LEFT_OUT = {"docs/style.md", "docs/style.py", "qa_service/questions/wrapping_words.py"}
"""Files that quote the words."""

GENERATED = {"docs/cli.md", "docs/settings.md", "docs/errors.md", "docs/http.md"}
"""Pages written from the code, in which a word would be reported twice."""

BANNED = {
    r"administrate[sd]?": "administer",
    r"anew": "again",
    r"as said": "as above",
    r"in force": "current",
    r"lately": "recently",
    r"let pass": "wrongly answered",
    r"mend(?:s|ed|ing)?": "fix",
    r"nobody waits": "it is not queued",
    r"nothing done": "already up to date",
    r"remember(?:s|ed|ing)?": "cache",
    r"tak(?:e|es|en|ing) over": "reuse",
    r"that (?:is|are) none": "invalid",
    r"the same but for": "the same except for",
    r"what waits": "the queue",
    r"who asks": "the client",
    r"(?:is|are|was|were) told (?!to\b)": "is reported",
}
"""Patterns of words, each with a better one."""

FREE_CLAUSE = re.compile(r"(?:\A|(?<=[.!?:])\s+|\n\s*\n\s*)((?:What|Of|Who)\b[^.!?]*[.!?]?)")
FENCE = re.compile(r"^```.*?^```|`[^`\n]*`|^#.*?$|^\|.*?$", re.MULTILINE | re.DOTALL)

Finding = tuple[str, int, str]


def main() -> None:
    """Print a line for each finding; exit with 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, help="files and folders to look through; all without any")
    arguments = parser.parse_args()
    found = [
        finding
        for path in files(arguments.paths)
        for finding in check(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    ]
    for name, line, message in sorted(found):
        print(f"{name}:{line}: {message}")
    sys.exit(1 if found else 0)


def files(paths: list[Path]) -> Iterator[Path]:
    """Yield the Python and Markdown files to look through."""
    for path in paths or [*(ROOT / name for name in FOLDERS), *(ROOT / name for name in PAGES)]:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in inside:
            name = str(file.resolve().relative_to(ROOT))
            if "node_modules" in file.parts:
                continue  # where an npm package of integrations/ was tried out
            if file.is_file() and file.suffix in {".py", ".md"} and name not in LEFT_OUT | GENERATED:
                yield file.resolve()


def check(name: str, text: str, words: dict[str, str] = BANNED) -> Iterator[Finding]:
    """Yield the findings in the text of a file: its name, the line, and a message."""
    prose = python_prose(text) if name.endswith(".py") else markdown_prose(text)
    for line, passage, sentences in prose:
        for pattern, better in words.items():
            for match in re.finditer(rf"\b{pattern.replace(' ', chr(92) + 's+')}\b", passage, re.IGNORECASE):
                yield name, _line_of(line, passage, match), f"{match[0]!r}: write {better!r}"
        if sentences:
            for match in FREE_CLAUSE.finditer(passage):
                if not match[1].endswith("?"):
                    shown = " ".join(match[1].split())[:60]
                    yield name, _line_of(line, passage, match), f"{shown!r}: begin with the subject"


def _line_of(line: int, passage: str, match: re.Match[str]) -> int:
    begin = match.start(1) if match.re is FREE_CLAUSE else match.start()
    return line + passage.count("\n", 0, begin)


def python_prose(source: str) -> Iterator[tuple[int, str, bool]]:
    """Yield each comment and string literal with its line, and whether it consists of sentences.

    Comments and docstrings do; neighbouring comment lines are one passage.
    """
    docstrings = {
        node.value.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    comment: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if comment and token.start[0] != last + 1:
                yield first, "\n".join(comment), True
                comment = []
            if not comment:
                first = token.start[0]
            last = token.start[0]
            comment.append(token.string.lstrip("# "))
        elif token.type == tokenize.STRING or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            text = token.string
            is_docstring = token.start[0] in docstrings
            yield token.start[0], text.strip("\"'") if is_docstring else text, is_docstring
    if comment:
        yield first, "\n".join(comment), True


def markdown_prose(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the text of a page without code, tables and headings, their lines left blank."""
    yield 1, FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text), True


if __name__ == "__main__":
    main()
