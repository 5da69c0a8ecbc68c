"""Data, notebooks, light markup, LaTeX, subtitles, source code and logs: words under headings, each with its place."""

import json
from pathlib import Path

import pytest

from qa_service.loading import FORMATS, Limits, ParserProcess
from qa_service.loading.formats import parts_of
from qa_service.loading.outline import ParsedDocument, UnreadableError

Blocks = list[tuple[tuple[str, ...], str]]


def read(suffix: str, text: str) -> list[ParsedDocument]:
    return list(parts_of(suffix, text.encode(), Limits()))


def one(suffix: str, text: str) -> ParsedDocument:
    (found,) = read(suffix, text)
    return found


def blocks(found: ParsedDocument) -> Blocks:
    """Return the path and the text of each block."""
    return [(block.section_path, found.text[block.start : block.end]) for block in found.outline.blocks]


def test_names_in_json_are_headings_and_lists_of_objects_are_tables() -> None:
    """Values of an object stand above the objects in it."""
    value = {
        "title": "Harbour",
        "mayor": {"name": "Ann", "office": {"room": 4}},
        "boats": [{"name": "Anna", "length": 12.5}, {"name": "Berta", "crew": ["Jo", "Mo"], "length": 9}],
        "open": True,
        "closed": None,
    }
    found = one(".json", json.dumps(value))
    assert found.outline.title == "Harbour"
    assert blocks(found) == [
        ((), "title: Harbour"),
        ((), "open: true"),
        (("mayor",), "name: Ann"),
        (("mayor", "office"), "room: 4"),
        (("boats",), "name | length | crew"),
        (("boats",), "Anna | 12.5 |"),
        (("boats",), "Berta | 9 | Jo, Mo"),
    ]


def test_a_list_of_records_gives_a_document_for_each() -> None:
    """Inner values are named by their paths; lines of JSON are read as such."""
    first, second = read(
        ".json", '[{"id": "a", "place": {"pier": 3}, "crew": [{"n": "Jo"}]}, {"id": "b", "x": [1, 2]}]'
    )
    assert (first.part, first.text) == ("id=a", "id: a\nplace.pier: 3\ncrew.1.n: Jo")
    assert (second.part, second.text) == ("id=b", "id: b\nx: 1, 2")
    assert [found.part for found in read(".json", '[{"a": 1}, {"a": 2}]')] == ["record=1", "record=2"]
    assert [found.part for found in read(".json", '{"a": 1}\n{"a": 2}\n')] == ["line=1", "line=2"]


def test_xml_has_titles_as_headings_and_alike_elements_as_rows() -> None:
    """Mixed content is a paragraph; attributes are values."""
    found = one(
        ".xml",
        "<?xml version='1.0' encoding='iso-8859-1'?><harbour name='North'><title>The harbour</title>"
        "<intro>Boats &amp; <b>ropes</b> leave.</intro>"
        "<boats><boat id='1'><name>Anna</name><length>12</length></boat><boat id='2'><name>Berta</name></boat></boats>"
        "<harbourMaster><name>Ann</name><phone>555</phone></harbourMaster>"
        "<section><title>Ropes</title><para>Dry ropes.</para><para>Wet ropes.</para></section></harbour>",
    )
    assert found.outline.title == "The harbour"
    assert blocks(found) == [
        ((), "name: North"),
        ((), "Boats & ropes leave."),
        ((), "id | name | length"),
        ((), "1 | Anna | 12"),
        ((), "2 | Berta |"),
        (("harbour master",), "name: Ann"),
        (("harbour master",), "phone: 555"),
        (("Ropes",), "Dry ropes."),
        (("Ropes",), "Wet ropes."),
    ]


def test_xml_reads_no_other_file_and_expands_no_entities(tmp_path: Path) -> None:
    """A warning names them; the text behind them stays."""
    (tmp_path / "secret").write_text("secret words")
    found = one(".xml", f"<!DOCTYPE a [<!ENTITY x SYSTEM '{(tmp_path / 'secret').as_uri()}'>]><a>Words &x; stay.</a>")
    assert found.text == "Words &x; stay."
    assert found.warnings == ("its own entities are not expanded: x",)
    laughs = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
    with pytest.raises(UnreadableError, match="is not readable XML"):
        read(".xml", f"<!DOCTYPE a [<!ENTITY l0 'ha'>{laughs}]><a>Words &l11;</a>")


def test_the_page_of_a_notebook_is_its_cell() -> None:
    """Headings of text cells hold for the code below; what code printed follows it, without colours."""
    cells = [
        {"cell_type": "markdown", "source": ["# Tides\n", "The tide rises."]},
        {
            "cell_type": "code",
            "source": "print('```')",
            "outputs": [
                {"output_type": "stream", "text": ["\x1b[31mtwo metres\x1b[0m\n"]},
                {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": ["<Figure>"]}},
                {"output_type": "error", "ename": "ValueError", "evalue": "no tide"},
            ],
        },
        {"cell_type": "code", "source": "", "outputs": []},
        {"cell_type": "markdown", "source": "## More\n\nWords."},
    ]
    found = one(".ipynb", json.dumps({"cells": cells, "nbformat": 4}))
    assert found.outline.title == "Tides"
    assert [text for _, text in blocks(found)] == [
        "The tide rises.",
        "````\nprint('```')\n````",
        "```\ntwo metres\n```",
        "```\n<Figure>\n```",
        "```\nValueError: no tide\n```",
        "Words.",
    ]
    assert len(found.pages) == 4
    assert found.text[found.pages[1] :].startswith("````\nprint")
    assert found.text[found.pages[3] :].startswith("## More")


def test_mdx_is_markdown_without_components() -> None:
    """Attributes that people see stay, and code as it is."""
    found = one(
        ".mdx",
        'import A from "a"\n\n# Tides\n\n<Card title="Spring" icon={a > b}>\n  It *rises* by {"two"} metres.\n</Card>\n'
        "\n"
        "Use `{x}` if 1 < 2.\n\n```js\nconst a = <B/>;\n```\n\nexport const x = {\n a: 1\n}\n\n<></>{/* unseen */}End.",
    )
    assert found.outline.title == "Tides"
    assert [text for _, text in blocks(found)] == [
        "Spring\n  It *rises* by two metres.",
        "Use `{x}` if 1 < 2.",
        "```js\nconst a = <B/>;\n```",
        "End.",
    ]


ADOC = """= The harbour
:toc:

Boats *leave* at five, see https://a.example[the page].

== Ropes

* One
** Two
goes on
// a comment

.Boats
[cols="1,1"]
|===
|Boat |Length

|Anna |12
|Berta
|9
|===

include::/etc/passwd[]

[source,python]
----
a = *b*
----
////
hidden
////
NOTE: Careful.
"""
ORG = """#+TITLE: The harbour
Boats *leave* at five, see [[https://a.example][the page]].
* TODO Ropes :tag:
:PROPERTIES:
:ID: 1
:END:
- One
- Two
  goes on
# a comment
#+CAPTION: Boats
| Boat  | Length |
|-------+--------|
| Anna  | 12     |
| Berta | 9      |
#+INCLUDE: "/etc/passwd"
#+begin_src python
a = *b*
#+end_src
NOTE: Careful.
"""


@pytest.mark.parametrize(("suffix", "text"), [(".adoc", ADOC), (".org", ORG)])
def test_asciidoc_and_org_have_headings_lists_tables_and_code(suffix: str, text: str) -> None:
    """Marks, comments and includes are not content."""
    found = one(suffix, text)
    assert found.outline.title == "The harbour"
    assert blocks(found) == [
        ((), "Boats leave at five, see the page."),
        (("Ropes",), "One"),
        (("Ropes",), "Two goes on"),
        (("Ropes",), "Boats"),
        (("Ropes",), "Boat | Length"),
        (("Ropes",), "Anna | 12"),
        (("Ropes",), "Berta | 9"),
        (("Ropes",), "a = *b*"),
        (("Ropes",), "NOTE: Careful."),
    ]


def test_latex_is_text_without_commands() -> None:
    r"""Headings are those of \section; footnotes, captions, tables, accents and verbatim text are read."""
    found = one(
        ".tex",
        r"""\documentclass{article}\usepackage[utf8]{inputenc}
\title{The \emph{harbour}}\author{Ann}
\begin{document}\maketitle % a comment
\section{Ropes \& sails}\label{a}
Boats leave at \textbf{five}~o'clock.\footnote{Not on Monday.} 5\% cost \$20, $x^2$.
Caf\'e \c{c}a \cdot{} \v s --- \input{/etc/passwd}

\begin{itemize}\item One \item[Two] Three\end{itemize}
\subsection*{Boats}
\begin{table}\caption{All boats}\begin{tabular}{l|r}\hline Boat & Length \\ \hline Anna & 12 \\ Berta & 9\\
\end{tabular}\end{table}
\begin{verbatim}
code % stays
\end{verbatim}
\end{document} behind""",
    )
    assert found.outline.title == "The harbour"
    ropes, boats = ("Ropes & sails",), ("Ropes & sails", "Boats")
    assert blocks(found) == [
        ((), "Ann"),
        (ropes, "Boats leave at five o'clock. (Not on Monday.) 5% cost $20, x^2. Café ça · š —"),
        (ropes, "One"),
        (ropes, "Two Three"),
        (boats, "All boats"),
        (boats, "Boat | Length"),
        (boats, "Anna | 12"),
        (boats, "Berta | 9"),
        (boats, "code % stays"),
    ]


def test_subtitles_are_sentences_and_their_part_is_their_time() -> None:
    """In seconds, as of a media fragment; a document is about a minute."""
    srt = (
        "1\r\n00:00:01,000 --> 00:00:03,500\r\n<i>Welcome aboard</i>\r\nthe ferry\r\n\r\n"
        "2\r\n00:00:03,500 --> 00:00:05,000\r\nto the island.\r\n\r\n"
        "3\r\n01:02:00,250 --> 01:02:05,000\r\nNo.\r\n\r\n4\r\n01:02:08,000 --> 01:02:09,000\r\nNo.\r\n"
    )
    first, second = read(".srt", srt)
    assert (first.part, first.text) == ("t=1,5", "Welcome aboard the ferry to the island.")
    assert (second.part, second.text) == ("t=3720.25,3729", "No.\n\nNo.")
    vtt = "WEBVTT\n\nNOTE unseen\n\n00:01.000 --> 00:03.000 align:start\n<v Ann>Boats &amp; ropes\n\n"
    (found,) = read(".vtt", vtt + "00:03.000 --> 00:04.000\n<v Ann>Boats &amp; ropes\nare <c.red>wet</c>.\n")
    assert (found.part, found.text) == ("t=1,4", "Ann: Boats & ropes are wet.")
    with pytest.raises(UnreadableError, match="no time codes"):
        read(".srt", "Only words.")


CODE = {
    ".py": '# Adds two\n@cached\ndef add(a, b):\n    """Return the sum."""\n    return a\n',
    ".js": "/**\n * Adds two\n */\nexport async function add(a, b) {\n  if (a) {\n  }\n}\n",
    ".ts": "// Adds two\nexport const add = async (a: number): Promise<number> => {\n};\n",
    ".java": "/** Adds two */\n@Override\npublic static int add(int a, int b) {\n  return b;\n}\n",
    ".cs": "/// Adds two\npublic static async Task<int> add(int a)\n{\n}\n",
    ".go": "// Adds two\nfunc (b *Boat) add(a int) int {\n}\n",
    ".rs": "/// Adds two\n#[inline]\npub(crate) async fn add<T>(a: T) {\n}\n",
    ".c": "/* Adds two */\nstatic int *add(int a, int b)\n{\n  f(a);\n}\n",
    ".cpp": "// Adds two\ntemplate <typename T>\nT add(const T& a) {\n}\n",
    ".rb": "# Adds two\ndef add(a)\nend\n",
    ".php": "<?php\n\n// Adds two\npublic function add($a) {\n}\n",
    ".sh": "# Adds two\nadd() {\n  ls\n}\n",
    ".sql": "-- Adds two\nCREATE OR REPLACE FUNCTION add(a int)\nSELECT a;\n",
    ".kt": "// Adds two\nsuspend fun add(a: Int): Int {\n}\n",
    ".swift": "// Adds two\npublic func add(a: Int) -> Int {\n}\n",
    ".lua": "-- Adds two\nlocal function add(a)\nend\n",
    ".r": "# Adds two\nadd <- function(a) {\n}\n",
}


@pytest.mark.parametrize("suffix", CODE)
def test_source_code_has_its_definitions_as_headings(suffix: str) -> None:
    """The comment above belongs to it; the text is the file's own."""
    found = one(suffix, CODE[suffix])
    assert found.text == CODE[suffix]
    assert found.outline.title is None
    comments = [(block.section_path, block.kind) for block in found.outline.blocks if block.kind == "paragraph"]
    assert comments[0] == (("add",), "paragraph")
    assert {block.section_path for block in found.outline.blocks} <= {("add",), ()}
    assert sum(block.kind == "code" and block.section_path == ("add",) for block in found.outline.blocks) >= 1


def test_methods_stand_below_their_class() -> None:
    """Paragraphs of a docstring are paragraphs."""
    text = (
        '"""All piers.\n\nOf stone."""\n\nclass Pier:\n    """A pier."""\n\n    def length(self):\n        return 12\n'
    )
    assert blocks(one(".py", text)) == [
        ((), '"""All piers.'),
        ((), 'Of stone."""'),
        (("Pier",), "class Pier:"),
        (("Pier",), '"""A pier."""'),
        (("Pier", "length"), "def length(self):\n        return 12"),
    ]


def test_minified_code_is_refused() -> None:
    with pytest.raises(UnreadableError, match="is minified code"):
        read(".js", "function a(b){return b+1};" * 200)
    assert read(".js", "function a(b) {\n  return b + 1;\n}\n" * 200)


def test_an_entry_of_a_log_has_its_stack_trace() -> None:
    """Each entry is a block."""
    text = "10:00 ERROR Boat lost\n  at pier 4\nCaused by: storm\n10:01 INFO found\n"
    assert [words for _, words in blocks(one(".log", text))] == [
        "10:00 ERROR Boat lost\n  at pier 4\nCaused by: storm",
        "10:01 INFO found",
    ]


HOSTILE = {
    ".json": '{"a":' * 20_000,
    ".xml": "<a>" * 20_000,
    ".ipynb": '{"cells": [{"cell_type": 5, "source": {"a": 1}}, null]}',
    ".mdx": "{" * 20_000 + "<a " * 20_000,
    ".adoc": "|===\n" + "|a" * 20_000,
    ".org": "#+begin_src\n" + "*" * 20_000,
    ".tex": "\\section{" * 5_000 + "{" * 20_000,
    ".py": "def f(\n" * 5_000 + '"""' + "a " * 20_000,
    ".cpp": "a " * 20_000 + "(" * 20_000,
    ".js": "const a = (" * 5_000,
    ".vtt": "00:01 --> " * 20_000,
}


def test_hostile_files_are_read_or_refused() -> None:
    """In the parser process, within its limits; the next file is read."""
    with ParserProcess(Limits(seconds=60)) as parser:
        for suffix, text in HOSTILE.items():
            try:
                found = list(parser.read(suffix, text.encode()))
            except UnreadableError as error:
                found = [str(error)]
            assert found, suffix
        (last,) = parser.read(".org", b"* A\nStill here.")
    assert isinstance(last, ParsedDocument)
    assert last.text.endswith("Still here.")


def test_formats_of_own_parsers_are_isolated() -> None:
    """Those whose time or memory a file can drive up."""
    assert all(FORMATS[suffix].isolated for suffix in HOSTILE if suffix != ".vtt")
