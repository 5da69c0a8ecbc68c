"""Loading: every file is read or skipped with a reason; text formats give titles, sections and blocks."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import Document, Skipped
from qa_service.errors import SourceError
from qa_service.loading import FORMATS, Limits, ParserProcess, SourceChangedError, read_documents, scan_source
from qa_service.loading.outline import Outline

Write = Callable[[dict[str, str | bytes]], Path]
MEGABYTE = 1_000_000


@dataclass
class LoadedFolder:
    """The documents of a folder, and everything that was skipped."""

    documents: list[Document]
    skipped: list[Skipped]


def load(source: Path, max_file_bytes: int = MEGABYTE) -> LoadedFolder:
    """Read a folder as a build does."""
    found = scan_source(source, FORMATS, max_file_bytes=max_file_bytes)
    limits = Limits(file_bytes=max_file_bytes)
    with ParserProcess(limits) as parser:
        read = [item for file in found.files for item in read_documents(file, limits, parser)]
    skipped = [*found.left_out, *(item for item in read if isinstance(item, Skipped))]
    documents = [item for item in read if isinstance(item, Document)]
    return LoadedFolder(documents, sorted(skipped, key=lambda item: item.uri))


def outline_of(ending: str, text: str) -> Outline:
    return next(iter(FORMATS[ending].read(text.encode(), Limits()))).outline


def reasons(loaded: LoadedFolder) -> dict[str, tuple[str, bool]]:
    return {item.uri: (item.reason, item.failed) for item in loaded.skipped}


@contextmanager
def without_root() -> Iterator[None]:
    """Run without root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_changed_since_the_scan_is_an_error(folder: Write) -> None:
    """The id of the generation is a hash of the scanned content."""
    file = scan_source(folder({"a.md": "# A\n\nOne.\n"}), FORMATS, max_file_bytes=MEGABYTE).files[0]
    folder({"a.md": "# A\n\nTwo.\n"})
    with pytest.raises(SourceChangedError, match=r"a\.md"):
        list(read_documents(file, Limits(), ParserProcess(Limits())))


def test_the_source_must_be_an_existing_folder(tmp_path: Path) -> None:
    """A missing one and a file have messages of their own."""
    with pytest.raises(SourceError, match="does not exist"):
        load(tmp_path / "none")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(SourceError, match="not a folder"):
        load(tmp_path / "file")


def test_a_file_without_a_document_is_skipped_with_a_reason(folder: Write) -> None:
    """By format, content, encoding, size and kind of file; the reason says whether the user should look at it."""
    source = folder(
        {
            "good.txt": "Words stand here.",
            "empty.md": "\ufeff \n",
            "photo.png": b"\x89PNG\r\n",
            "README": "No ending.",
            "really.txt": b"%PDF-1.7 ...",
            "one-bad-byte.txt": "caf\u00e9 au lait\nb".encode() + b"\xffd",
            "large.txt": "x" * 2000,
            "only-heading.md": "# Title\n",
        }
    )
    os.mkfifo(source / "pipe.txt")
    loaded = load(source, max_file_bytes=1000)
    assert [document.uri for document in loaded.documents] == ["good.txt"]
    found = reasons(loaded)
    assert found["empty.md"] == ("empty", False)
    assert found["photo.png"] == ("format .png is not read", False)
    assert found["README"] == ("format without an ending is not read", False)
    assert found["really.txt"] == ("is a PDF, not text", True)
    assert found["one-bad-byte.txt"][0].startswith("is not UTF-8: byte 0xFF at offset 15, line 2")
    assert found["large.txt"][1]
    assert "over the limit" in found["large.txt"][0]
    assert found["only-heading.md"] == ("no content below its headings", False)
    assert found["pipe.txt"] == ("not a regular file", False)


def test_only_links_to_files_inside_the_folder_are_followed(folder: Write, tmp_path: Path) -> None:
    """Links to files outside, to folders and to themselves are skipped with a reason."""
    (tmp_path / "secret.txt").write_text("Root's password.", encoding="utf-8")
    source = folder({"a/real.txt": "Real words."})
    (source / "out.txt").symlink_to(tmp_path / "secret.txt")
    (source / "inside.txt").symlink_to(source / "a/real.txt")
    (source / "a/loop").symlink_to(source)
    (source / "self.txt").symlink_to(source / "self.txt")
    (source / "gone.txt").symlink_to(source / "nowhere.txt")
    loaded = load(source)
    assert [document.uri for document in loaded.documents] == ["a/real.txt", "inside.txt"]
    found = reasons(loaded)
    assert found["out.txt"] == ("link that leads out of the source folder, not followed", False)
    assert found["a/loop"] == ("link to a folder, not followed", False)
    assert found["self.txt"][0].startswith("can't be read")
    assert found["gone.txt"] == ("can't be read: No such file or directory", True)


def test_unreadable_files_and_folders_are_reported(folder: Write, tmp_path: Path) -> None:
    """The others are read."""
    source = folder({"a.txt": "Open words.", "closed.txt": "Shut.", "cellar/b.txt": "Deep."})
    for path in (tmp_path, source, *tmp_path.parents):
        if path.owner() == tmp_path.owner() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    (source / "closed.txt").chmod(0)
    (source / "cellar").chmod(0)
    with without_root():
        loaded = load(source)
    (source / "cellar").chmod(0o700)
    assert reasons(loaded) == {
        "closed.txt": ("can't be read: Permission denied", True),
        "cellar": ("folder can't be listed: Permission denied", True),
    }


def test_unusual_file_names_have_distinct_ids(folder: Write) -> None:
    """Line ends, escapes, undecodable bytes, and names that differ only in case or normal form."""
    source = folder({"a\nb.txt": "one", "\x1b[2J\u202e.txt": "two", "\u00e9.txt": "three", "e\u0301.txt": "four"})
    folder({"E\u0301.txt": "five", "x" * 251 + ".txt": "six"})
    (Path(os.fsdecode(os.fsencode(source) + b"/\xff.txt"))).write_text("seven", encoding="utf-8")
    loaded = load(source)
    assert len({document.id for document in loaded.documents}) == 7
    assert "%FF.txt" in {document.uri for document in loaded.documents}
    assert all(document.uri.encode() for document in loaded.documents)


def test_deeply_nested_folders_are_scanned(tmp_path: Path) -> None:
    """300 levels, without recursion."""
    deep = tmp_path / "source"
    deep.mkdir()
    (deep / "top.txt").write_text("top words", encoding="utf-8")
    descriptor = os.open(deep, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    assert [document.uri for document in load(deep).documents] == ["top.txt"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_decide_the_encoding(encoding: str, folder: Write) -> None:
    """In UTF-8 the text keeps the mark, so that byte offsets hold for the file."""
    data = "Grüße aus 서울.\r\n".encode(encoding)
    document = load(folder({"a.txt": data})).documents[0]
    assert document.text.lstrip("\ufeff") == "Grüße aus 서울.\r\n"
    if encoding.startswith("utf-8"):
        assert document.text.encode() == data
    assert document.text[document.blocks[0].start : document.blocks[0].end] == "Grüße aus 서울."


def test_hidden_characters_are_warned_of(folder: Write) -> None:
    """NUL and bidirectional controls are counted for each document."""
    document = load(folder({"a.txt": "a\0b \u202ec\u202c"})).documents[0]
    assert document.warnings == (
        "1 NUL characters, hidden from the model",
        "2 bidirectional controls, hidden from the model",
    )


def test_a_changed_file_is_recognised_by_its_content(folder: Write) -> None:
    """Also if its name, size and time are the same."""
    source = folder({"a.txt": "aaaa"})
    os.utime(source / "a.txt", (0, 0))
    before = load(source).documents[0].sha256
    folder({"a.txt": "bbbb"})
    os.utime(source / "a.txt", (0, 0))
    assert load(source).documents[0].sha256 != before


def outline(text: str, ending: str = ".md") -> tuple[str | None, list[tuple[str, tuple[str, ...], str]]]:
    found = outline_of(ending, text)
    return found.title, [(text[block.start : block.end], block.section_path, block.kind) for block in found.blocks]


def test_markdown_headings_lists_tables_and_code() -> None:
    """The first heading is the title; blocks are source lines under the headings above them."""
    title, blocks = outline(
        "---\nauthor: x\n---\n# The *Title*\r\n\r\nIntro `code`.\n\n## One\n\n- item a\n- item b\n  more\n\n"
        "### Deep\n\n| h | i |\n|---|---|\n| 1 | 2 |\n\nSetext\n------\n\n```py\n# no heading\n```\n\n<!-- note -->\n"
    )
    assert title == "The Title"
    assert blocks == [
        ("Intro `code`.", (), "paragraph"),
        ("- item a", ("One",), "list_item"),
        ("- item b\n  more", ("One",), "list_item"),
        ("| h | i |", ("One", "Deep"), "table_row"),
        ("| 1 | 2 |", ("One", "Deep"), "table_row"),
        ("```py\n# no heading\n```", ("Setext",), "code"),
    ]


def test_markdown_with_a_byte_order_mark_keeps_its_title_and_offsets() -> None:
    """The mark is part of neither a heading nor a block."""
    assert outline("\ufeff# Title\n\nBody.\n") == ("Title", [("Body.", (), "paragraph")])
    assert outline("\ufeffBody.\n") == (None, [("Body.", (), "paragraph")])


def test_plain_text_titles_are_headings_and_a_repeated_title_is_dropped() -> None:
    """As in text scraped from web pages."""
    title, blocks = outline(
        "Korea and the world\n\nSouth Korea - Wikipedia\n\nkorea and the world\n\nThe first paragraph says much.\n\n"
        "korea and the world\n\nThe second is under the same heading.\n\nWhy Do They Agree?\n\nThey do, mostly.\n",
        ".txt",
    )
    assert title == "Korea and the world"
    assert blocks == [
        ("The first paragraph says much.", ("South Korea - Wikipedia",), "paragraph"),
        ("The second is under the same heading.", ("South Korea - Wikipedia",), "paragraph"),
        ("They do, mostly.", ("Why Do They Agree?",), "paragraph"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Phone: 555 1234\n\nOffice Hours: 9 to 5\n",
        "Apples\n\nPears\n\nPlums\n\nCherries\n\nThese are fruit.\n",
        "The text ends in a line.\n\nFinal Words\n",
        "and in 2012? 6161.0\n\nand in 2012? 6161.0\n\nSo it went.\n",
        "Hello World\n",
        "see https://example.org/A/B\n\nThat is a link.\n",
    ],
)
def test_short_lines_that_hold_facts_stay_content(text: str) -> None:
    """Data, lists, a last line, a file of one line: no possible answer is lost."""
    _, blocks = outline(text, ".txt")
    assert "".join("".join(content.split()) for content, _, _ in blocks) == "".join(text.split())


def test_list_items_and_long_lines_of_plain_text_are_blocks() -> None:
    """A line as long as a paragraph is one."""
    _, blocks = outline("We need:\n- bread\n- salt\n\n" + "A long line. " * 20 + "\n" + "Another one. " * 20, ".txt")
    assert [content[:12] for content, _, _ in blocks] == [
        "We need:",
        "- bread",
        "- salt",
        "A long line.",
        "Another one.",
    ]


def test_lines_with_bars_are_rows_of_a_table() -> None:
    """In plain text; each is a block."""
    _, blocks = outline("Boats:\n\nBoat | Length\nAnna | 12\nBerta | 13\n\nOne | bar.\nNo bar.\n", ".txt")
    assert [(content, kind) for content, _, kind in blocks] == [
        ("Boats:", "paragraph"),
        ("Boat | Length", "table_row"),
        ("Anna | 12", "table_row"),
        ("Berta | 13", "table_row"),
        ("One | bar.\nNo bar.", "paragraph"),
    ]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Open\n\nMay dogs come in?\n\nOpen\n\nIs there a cloakroom?\n\nOpen\n", "Open"),
        ("Ask The Staff\n\nWhere is it?\n\nAsk The Staff\n\nIt is near the door.\n", "Ask The Staff"),
    ],
)
def test_a_line_below_a_question_is_its_answer(text: str, title: str) -> None:
    """Also if it repeats the first line; one word is no title that pages repeat."""
    found, blocks = outline(text, ".txt")
    assert found == title
    assert sum(content == title for content, _, _ in blocks) == text.count("?\n\n" + title)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "*" * 100_000, "> " * 50_000, "`" * 100_000, "- " * 50_000, "|" * 100_000]
)
def test_pathological_markdown_is_parsed_in_time(text: str) -> None:
    """The bound is the suite's time limit; each of these takes well under a second."""
    outline_of(".md", text + "\n\nWords.\n")


@given(
    st.sampled_from([".md", ".txt"]),
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("#-*|>`\n\r =")),
)
def test_blocks_are_in_order_disjoint_and_trimmed(ending: str, text: str) -> None:
    """For any text, as splitting needs them."""
    position = 0
    for block in outline_of(ending, text).blocks:
        assert position <= block.start < block.end <= len(text)
        content = text[block.start : block.end]
        assert content == content.strip(" \t\r\n\f\v\ufeff") or content.strip() == content.lstrip("\ufeff")
        position = block.end


def test_front_matter_becomes_metadata() -> None:
    """Scalars and lists of scalars, as text; its title takes precedence over the first heading."""
    outline = outline_of(
        ".md",
        "---\ntitle: From the Front\nyear: 2017\ndraft: false\ndate: 2017-06-30\ntags: [a, b]\n"
        "nested: {x: 1}\n---\n# Other\n\nWords.\n",
    )
    assert outline.title == "From the Front"
    assert dict(outline.metadata) == {
        "title": "From the Front",
        "year": "2017",
        "draft": "false",
        "date": "2017-06-30",
        "tags": ("a", "b"),
    }


@pytest.mark.parametrize(
    "front",
    ["!!python/object/apply:os.system ['false']", "just words", "a: [", "x: " + "y" * 70_000, "a: &a [*a]"],
)
def test_front_matter_that_is_not_a_mapping_is_ignored(front: str) -> None:
    """The text below it is still content; no code runs."""
    outline = outline_of(".md", f"---\n{front}\n---\nWords.\n")
    assert dict(outline.metadata) == {}
    assert len(outline.blocks) == 1


def test_nested_yaml_aliases_are_not_expanded() -> None:
    """Aliases of aliases are nested lists, which are not metadata."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 8) + "]" for n in range(1, 30)]
    outline = outline_of(".md", "---\n" + "\n".join(lines) + "\n---\nWords.\n")
    assert set(outline.metadata) == {"a0"}
