"""DOCX as people see it: text behind every wrapper, notes at their marks, tables with their places, true headings."""

import documents
import pytest

from qa_service.loading import FORMATS, Limits
from qa_service.loading.outline import ParsedDocument, UnreadableError

Block = tuple[tuple[str, ...], str, str]


def read(body: str, **parts: str) -> ParsedDocument:
    (found,) = FORMATS[".docx"].read(documents.word_xml(body, **parts), Limits())
    assert isinstance(found, ParsedDocument)
    return found


def lines(body: str, **parts: str) -> list[str]:
    return [line for line in read(body, **parts).text.split("\n") if line]


def blocks(body: str, **parts: str) -> list[Block]:
    found = read(body, **parts)
    return [(block.section_path, block.kind, found.text[block.start : block.end]) for block in found.outline.blocks]


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*content: str, properties: str = "") -> str:
    inside = "".join(piece if piece.startswith("<") else run(piece) for piece in content)
    return f"<w:p><w:pPr>{properties}</w:pPr>{inside}</w:p>"


def style(name: str, based_on: str = "", properties: str = "", *, title: str = "") -> str:
    return (
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="{title or name}"/>'
        f'<w:basedOn w:val="{based_on}"/><w:pPr>{properties}</w:pPr></w:style>'
    )


def styled(name: str, text: str, properties: str = "") -> str:
    return paragraph(text, properties=f'<w:pStyle w:val="{name}"/>{properties}')


def cell(content: str, properties: str = "") -> str:
    inside = content if content.startswith("<") or not content else paragraph(content)
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inside}</w:tc>"


def row(*cells: str, properties: str = "") -> str:
    inside = "".join(one if one.startswith(("<w:tc>", "<w:sdt>")) else cell(one) for one in cells)
    return f"<w:tr><w:trPr>{properties}</w:trPr>{inside}</w:tr>"


def table(*rows: str, properties: str = "") -> str:
    return f"<w:tbl><w:tblPr>{properties}</w:tblPr>{''.join(rows)}</w:tbl>"


def field(code: str, result: str) -> str:
    def mark(kind: str) -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'

    return f"{mark('begin')}<w:r><w:instrText>{code}</w:instrText></w:r>{mark('separate')}{run(result)}{mark('end')}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (("The rent is ", f"<w:ins>{run('sixty crowns')}</w:ins>", " a year."), "The rent is sixty crowns a year."),
        (("It is ", "<w:del><w:r><w:delText>blue</w:delText></w:r></w:del>", "white."), "It is white."),
        ((f"<w:moveFrom>{run('Old.')}</w:moveFrom>", f"<w:moveTo>{run('Moved.')}</w:moveTo>"), "Moved."),
        (("Keeper: ", f"<w:sdt><w:sdtPr/><w:sdtContent>{run('Anna')}</w:sdtContent></w:sdt>"), "Keeper: Anna"),
        (("See ", f'<w:hyperlink r:id="x">{run("the log")}</w:hyperlink>', "."), "See the log."),
        ((f"<w:smartTag><w:customXml>{run('Leith')}</w:customXml></w:smartTag>", " pier"), "Leith pier"),
        (("On ", field(" DATE ", "3 May"), "."), "On 3 May."),
        (("On ", f'<w:fldSimple w:instr="DATE">{run("3 May")}</w:fldSimple>', "."), "On 3 May."),
        (("As ", field(f" IF {field('REF a', 'xylophone')} = 1", "told"), "."), "As told."),
        (("one", "<w:r><w:tab/><w:t>two</w:t><w:br/><w:t>three</w:t></w:r>"), "one two three"),
        (("co", "<w:r><w:noBreakHyphen/></w:r>", "op"), "co-op"),
        (("Seen", run("unseen", "<w:vanish/>"), run(".", '<w:vanish w:val="0"/>')), "Seen."),
        (("10", run("6", '<w:vertAlign w:val="superscript"/>'), " lamps"), "10^6 lamps"),
        (
            ("Tick ", '<w:r><w:sym w:font="x" w:char="2713"/><w:sym w:font="Wingdings" w:char="F0FC"/></w:r>'),
            "Tick \u2713\u2713",
        ),
        (
            ("5 ", '<w:r><w:sym w:font="Symbol" w:char="F0B1"/><w:sym w:font="Other" w:char="F0B1"/></w:r>', " 1"),
            "5 ± 1",
        ),
        ((run("\uf06d", '<w:rFonts w:ascii="Symbol"/>'), run("m\uf06d")), "μm"),
        (
            (
                "<w:r><w:ruby><w:rt><w:r><w:t>とう</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>灯</w:t></w:r></w:rubyBase></w:ruby></w:r>",
                "台",
            ),
            "灯(とう)台",
        ),
        (("<w:r><w:drawing><wp:docPr descr='A brass lamp'/></w:drawing></w:r>", "Fig. 1"), "A brass lamp Fig. 1"),
        (("<w:r><w:drawing><wp:docPr descr='C:\\x\\lamp.png'/></w:drawing></w:r>", "Fig. 1"), "Fig. 1"),
    ],
)
def test_text_behind_a_wrapper_is_read_as_people_see_it(content: tuple[str, ...], expected: str) -> None:
    """Deletions, hidden runs and the codes of fields are not seen."""
    assert lines(paragraph("First.") + paragraph(*content)) == ["First.", expected]


def test_blocks_behind_content_controls_are_read() -> None:
    """Paragraphs, rows and cells can stand in one."""

    def control(inside: str) -> str:
        return f"<w:sdt><w:sdtContent>{inside}</w:sdtContent></w:sdt>"

    assert lines(
        control(paragraph("In a control.") + control(paragraph("Within another.")))
        + table(control(row("a", control(cell("1")))), row("b", "2"))
    ) == ["In a control.", "Within another.", "a | 1", "b | 2"]


def test_a_paragraph_whose_end_is_deleted_goes_on() -> None:
    """So does a large initial. A deleted row is gone."""
    initial = paragraph("L", properties='<w:framePr w:dropCap="drop"/>') + paragraph("amps burn.")
    assert lines(initial) == ["Lamps burn."]
    gone = "<w:rPr><w:del/></w:rPr>"
    deleted = row("x", "y", properties="<w:del/>")
    assert lines(paragraph("The lamp ", properties=gone) + paragraph("burns.") + table(row("a", "1"), deleted)) == [
        "The lamp burns.",
        "a | 1",
    ]


def test_notes_follow_the_paragraph_of_their_mark() -> None:
    """In a cell they are part of it. A note that is marked twice comes once."""

    def mark(kind: str, number: int) -> str:
        return f'<w:r><w:{kind}Reference w:id="{number}"/></w:r>'

    def note(kind: str, number: int, text: str) -> str:
        return f'<w:{kind} w:id="{number}">{paragraph(text)}</w:{kind}>'

    assert lines(
        paragraph("One", mark("footnote", 1), " and two", mark("endnote", 1), ".")
        + paragraph("Three.", mark("footnote", 1))
        + table(row(cell(paragraph("a", mark("footnote", 2))), "1")),
        footnotes=note("footnote", 0, "unused")
        + note("footnote", 1, "From the log.")
        + note("footnote", 2, "Of brass."),
        endnotes=note("endnote", 1, "By Bea."),
    ) == ["One and two.", "From the log.", "By Bea.", "Three.", "a Of brass. | 1"]


def test_a_text_box_comes_once_behind_its_paragraph() -> None:
    """Though the file holds it twice, for newer and older programs."""
    box = f"<w:txbxContent>{paragraph('In the box.')}{paragraph('Below.')}</w:txbxContent>"
    shape = (
        f"<w:r><mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback><w:pict>{box}</w:pict></mc:Fallback>"
        "</mc:AlternateContent></w:r>"
    )
    old = f"<w:r><w:pict><v:textbox>{box.replace('box', 'old box')}</v:textbox></w:pict></w:r>".replace(
        "txold boxContent", "txbxContent"
    )
    assert lines(paragraph("Around ", shape, old, "it.")) == [
        "Around it.",
        "In the box.",
        "Below.",
        "In the old box.",
        "Below.",
    ]


def test_headers_and_footers_come_once_below_the_text_and_outside_its_sections() -> None:
    """Without page numbers; those of other sections only if they say something else."""

    def uses(**ids: str) -> str:
        references = "".join(f'<w:{kind}Reference r:id="{name}"/>' for kind, name in ids.items())
        return f"<w:sectPr>{references}</w:sectPr>"

    page = paragraph(
        "Page ", field("PAGE \\* MERGEFORMAT", "3"), " of ", f'<w:fldSimple w:instr="NUMPAGES">{run("9")}</w:fldSimple>'
    )
    found = blocks(
        styled("Heading1", "Lamps")
        + paragraph("The lamp burns.")
        + styled("Heading1", "Oil")
        + paragraph("Rape.", f"{uses(header='header1', footer='footer1')}")
        + uses(header="header2"),
        styles=style("Heading1", title="heading 1"),
        header1=paragraph("Harbour Board, Leith"),
        header2=paragraph("Harbour Board, Leith") + paragraph("Draft 2"),
        footer1=page + paragraph("Printed in May, page ", field("PAGE", "3")),
        header3=paragraph("unused"),
    )
    assert [(path, text) for path, _, text in found] == [
        ((), "The lamp burns."),
        (("Oil",), "Rape."),
        ((), "Harbour Board, Leith"),
        ((), "Draft 2"),
        ((), "Printed in May, page"),
    ]


def test_equations_are_text() -> None:
    """Fractions, powers, roots, sums and brackets on one line."""

    def part(name: str, *inside: str) -> str:
        return f"<m:{name}>{''.join(inside)}</m:{name}>"

    def words(text: str) -> str:
        return part("r", part("t", text))

    power = part("sSup", part("e", words("c")), part("sup", words("2")))
    fraction = part("f", part("num", words("a+b")), part("den", part("rad", part("deg"), part("e", words("2")))))
    total = part(
        "nary",
        part("naryPr", '<m:chr m:val="∑"/>'),
        part("sub", words("i=1")),
        part("sup", words("n")),
        part("e", words("x")),
    )
    assert lines(
        paragraph("Here ", part("oMath", words("E=m"), power), " holds.")
        + f"<w:p>{part('oMathPara', part('oMath', fraction))}</w:p>"
        + f"<w:p>{part('oMath', total)}</w:p>"
    ) == ["Here E = mc^2 holds.", "(a + b)/(√(2))", "∑_(i = 1)^n x"]


def test_a_diagram_and_an_embedded_page_are_read() -> None:
    """Their text stands in parts of their own."""
    diagram = "<w:r><w:drawing><dgm:relIds r:dm='diagramData1'/></w:drawing></w:r>"
    texts = "".join(f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>" for text in ("Wick", "Lens"))
    assert lines(
        paragraph("Parts:", diagram) + "<w:altChunk r:id='aFChunk_htm'/>",
        diagramData1=texts,
        aFChunk_htm="<p>From a<br>page.</p>",
    ) == ["Parts: Wick Lens", "From a page."]


def test_cells_keep_their_places() -> None:
    """Equal and empty ones, merged ones, and rows that begin later."""
    span, start, goes_on = '<w:gridSpan w:val="2"/>', '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    assert lines(
        table(
            row("Lamp", "2020", "2021", "2022", properties="<w:tblHeader/>"),
            row(cell("North", start), "5", "5", "7"),
            row(cell("", goes_on), "", "4", ""),
            row("South", cell("none", span), "6"),
            row("9", properties='<w:gridBefore w:val="3"/>'),
        )
    ) == [
        "Lamp | 2020 | 2021 | 2022",
        "--- | --- | --- | ---",
        "North | 5 | 5 | 7",
        "North |  | 4 | ",
        "South | none |  | 6",
        "|  |  |  | 9",
    ]


def test_a_table_in_a_cell_follows_its_row() -> None:
    """A row that only holds it is no row."""
    inner = table(row("Lid", "77"), row("Base", "80"))
    assert lines(table(row("Lamp", cell(paragraph("Parts") + inner)), row("Keeper", "Anna"))) == [
        "Lamp | Parts",
        "Lid | 77",
        "Base | 80",
        "Keeper | Anna",
    ]
    assert lines(table(row("Outer", cell(inner)))) == ["Outer", "Lid | 77", "Base | 80"]


def test_a_header_is_known_by_its_mark_its_look_or_the_style_of_the_table() -> None:
    """A rule follows it."""
    bold = "<w:b/>"
    by_look = table(row(cell(paragraph(run("Lamp", bold))), cell(paragraph(run("Oil", bold)))), row("North", "rape"))
    assert lines(by_look)[1] == "--- | ---"
    first_row = '<w:tblStyle w:val="Grid"/><w:tblLook w:val="04A0"/>'
    look = '<w:style w:type="table" w:styleId="Grid"><w:tblStylePr w:type="firstRow"/></w:style>'
    by_style = table(row("Lamp", "Oil"), row("North", "rape"), properties=first_row)
    assert lines(by_style, styles=look)[1] == "--- | ---"
    assert lines(by_style)[1] == "North | rape"


def test_headings_are_known_by_derived_styles_and_outline_levels() -> None:
    """A style can be based on a heading, or have a level itself; the paragraph's own level prevails."""

    def level(number: int) -> str:
        return f'<w:outlineLvl w:val="{number}"/>'

    body = styled("H1", "Oil") + paragraph("Rape.") + styled("House", "Price") + paragraph("Low.")
    body += (
        styled("Leveled", "Wicks") + paragraph("Flat.") + paragraph("Lens", properties=level(1)) + paragraph("Clear.")
    )
    body += styled("House", "Not a heading.", level(9)) + styled("Loop", "In a loop.")
    found = blocks(
        paragraph("First.") + body,
        styles=style("H1", title="heading 1")
        + style("H2", title="Heading 2")
        + style("Mine", "H2")
        + style("House", "Mine")
        + style("Leveled", properties=level(0))
        + style("Loop", "Loop"),
    )
    assert [(path, text) for path, _, text in found] == [
        ((), "First."),
        (("Oil",), "Rape."),
        (("Oil", "Price"), "Low."),
        (("Wicks",), "Flat."),
        (("Wicks", "Lens"), "Clear."),
        (("Wicks", "Lens"), "Not a heading."),
        (("Wicks", "Lens"), "In a loop."),
    ]


def test_lists_are_known_by_their_numbering() -> None:
    """Directly, or by their style; 0 switches it off. A table of contents repeats the headings, and is not read."""

    def numbering(number: int) -> str:
        return f'<w:numPr><w:numId w:val="{number}"/></w:numPr>'

    found = blocks(
        paragraph("a", properties=numbering(2))
        + styled("Steps", "b")
        + styled("Steps", "c", numbering(0))
        + styled("Contents", "Lamps 3"),
        styles=style("Steps", properties=numbering(1)) + style("Contents", title="toc 1"),
    )
    assert [(kind, text) for _, kind, text in found] == [("list_item", "a"), ("list_item", "b"), ("paragraph", "c")]


def test_a_file_of_the_strict_standard_is_read() -> None:
    """Its elements have the same names in other namespaces."""
    files = documents.unpacked(documents.word_xml(paragraph("Read.") + table(row("a", "1"))))
    strict = {
        name: content.replace(b"http://schemas.openxmlformats.org/wordprocessingml/2006", b"http://purl.oclc.org/ooxml")
        for name, content in files.items()
    }
    (found,) = FORMATS[".docx"].read(documents.archive(strict), Limits())
    assert found.text == "Read.\n\na | 1"


def test_a_damaged_part_beside_the_document_gives_a_warning() -> None:
    """The document is read without it."""
    files = documents.unpacked(documents.word_xml(paragraph("Read."), styles=style("H1"), header1=paragraph("Leith")))
    files["word/styles.xml"] = files["word/styles.xml"][:-30]
    (found,) = FORMATS[".docx"].read(documents.archive(files), Limits())
    assert found.text == "Read."
    (warning,) = found.warnings
    assert warning.startswith("word/styles.xml is damaged, and was not read")


@pytest.mark.parametrize(
    "body",
    [
        paragraph("First.") + "<w:tbl><w:tr><w:tc>" * 60 + "x" + "</w:tc></w:tr></w:tbl>" * 60,
        paragraph("First.") + paragraph('<w:r><w:fldChar w:fldCharType="begin"/></w:r>') + paragraph("Last."),
        paragraph("First.") + '<w:r><w:fldChar w:fldCharType="end"/></w:r>',
        paragraph("First.") + table(row(*[cell("x", '<w:gridSpan w:val="1000"/>')] * 900) * 3),
        paragraph("First.", '<w:r><w:footnoteReference w:id="1"/></w:r>'),
        paragraph("First.") + table(row(cell("a", "<w:vMerge/>"), "b")),
    ],
)
def test_odd_files_are_read(body: str) -> None:
    """Fields that never end, spans that cover too much, notes that are missing."""
    itself = '<w:r><w:footnoteReference w:id="1"/></w:r>'
    note = f'<w:footnote w:id="1">{paragraph("See.", itself)}</w:footnote>'
    found = read(body, footnotes=note)
    assert found.text.startswith("First.")
    assert ("Last." in body) == ("Last." in found.text)
    assert len(found.text) < 3 * len(body)


def test_a_file_with_a_password_is_refused_with_the_reason() -> None:
    """It is no archive, but a container that the archive is encrypted in."""
    with pytest.raises(UnreadableError, match="is encrypted, or in the format of an older program"):
        list(FORMATS[".docx"].read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), Limits()))
