"""HTML and EPUB as people see them: words parted, once, in order; tables with their places; hidden things left out."""

import documents
import pytest

from qa_service.loading import FORMATS, Limits
from qa_service.loading.outline import ParsedDocument

INTRODUCTION = (
    "<h1>Lamps</h1><p>The keeper trims the lamps at dusk and again at midnight, all through the year.</p>"
    "<p>Each lamp burns a pint of oil, and the oil comes by boat from the town on the other shore.</p>"
)


def read(page: str, suffix: str = ".html") -> ParsedDocument:
    data = page.encode() if suffix == ".html" else documents.epub([page])
    (found,) = FORMATS[suffix].read(data, Limits())
    assert isinstance(found, ParsedDocument)
    return found


def blocks(body: str, suffix: str = ".html") -> list[str]:
    """Return the blocks below the introduction, which makes the page one of some size."""
    found = read(f"<html><head><title>Lamps</title></head><body>{INTRODUCTION}{body}</body></html>", suffix)
    texts = [found.text[block.start : block.end] for block in found.outline.blocks]
    assert texts[0].startswith("The keeper")
    return texts[2:]


def table(body: str) -> list[str]:
    """Return the lines of a page that is a table."""
    return read(f"<body><table>{body}</table></body>").text.split("\n")


def row(*cells: str, head: bool = False) -> str:
    tag = "th" if head else "td"
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


@pytest.mark.parametrize("suffix", [".html", ".epub"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>North<br>Pier<br/>Room 4</p>", ["North Pier Room 4"]),
        ("<div>Open<div>daily</div>from nine</div>", ["Open", "daily", "from nine"]),
        ("<p>one</p>two<p>three</p>four", ["one", "two", "three", "four"]),
        ("before<table><tr><td>a</td><td>b</td></tr></table>behind", ["before", "a | b", "behind"]),
        ("<ul><li>oil<ul><li>whale</li><li>rape</li></ul>wick</li></ul>", ["oil", "whale", "rape", "wick"]),
        ("<address>Pier 3<br>Leith</address><p>Call.</p>", ["Pier 3 Leith", "Call."]),
        ("<p>un<b>broken</b> wo<i>rd</i>s</p>", ["unbroken words"]),
        ("<p>a<!-- a note -->b</p>", ["ab"]),
        (
            "<figure><img src=l.png alt='A brass lamp'><figcaption>The first lamp</figcaption></figure>",
            ["A brass lamp", "The first lamp"],
        ),
        ("<figure><img alt='The second lamp'><figcaption>The second lamp.</figcaption></figure>", ["The second lamp."]),
        ("<p><img src=x.png alt='x-17.png'>Oil</p>", ["Oil"]),
        ("<div><label for=o>Oil left</label><input id=o value='7 pints'></div>", ["Oil left 7 pints"]),
        ("<div><div>Height</div><div>31 m</div></div>", ["Height 31 m"]),
        ("<div><span>Wick</span><span>12 mm</span></div>", ["Wick 12 mm"]),
        ("<dl><dt>Range</dt><dd>19 miles</dd><dt>Built:</dt><dd>1811</dd></dl>", ["Range: 19 miles", "Built: 1811"]),
        (
            "<dl><dt>Duties</dt><dd><p>Trim the lamps.</p><p>Wind the clock.</p></dd></dl>",
            ["Duties", "Trim the lamps.", "Wind the clock."],
        ),
        ("<select><option>Red</option><option>White</option></select>", ["Red White"]),
        ("<fieldset><legend>Colour</legend><label><input type=radio>Red</label></fieldset>", ["Colour", "Red"]),
        ("<a href=a>Log</a><a href=b>Tides</a>", ["Log Tides"]),
        (
            "<p>In 1811<sup><a href='#n'>2</a></sup> it cost 10<sup>6</sup> m<sup>2</sup>.</p>",
            ["In 1811[2] it cost 10^6 m2."],
        ),
        ("<p>Built by <ruby>灯<rt>とう</rt>台<rt>だい</rt></ruby>.</p>", ["Built by 灯台(とうだい)."]),
        ("<p>It was <del>blue</del><ins>white</ins>.</p>", ["It was white."]),
        ("<svg><title>Plan</title><text>Lens</text><text>Gallery</text></svg>", ["Lens Gallery"]),
    ],
)
def test_words_are_parted_at_borders_and_kept(suffix: str, body: str, expected: list[str]) -> None:
    """In pages and in chapters of books."""
    assert blocks(body, suffix) == expected


@pytest.mark.parametrize(
    "body",
    [
        "<p hidden>xylophone</p>",
        "<div style='color:red; display : none'><p>xylophone</p></div>",
        "<p style='visibility:hidden!important'>xylophone</p>",
        "<section aria-hidden=true>xylophone</section>",
        "<template><p>xylophone</p></template>",
        "<noscript>xylophone</noscript><iframe>xylophone</iframe><dialog>xylophone</dialog>",
        "<script type=module>xylophone</script><style>.xylophone {}</style>",
        "<input type=hidden value=xylophone><input type=password value=xylophone>",
        "<video>xylophone</video><datalist><option>xylophone</datalist>",
    ],
)
def test_hidden_text_is_left_out(body: str) -> None:
    """By attribute, by style, and by the nature of an element; the text behind it stays."""
    assert blocks(f"{body}and the tail") == ["and the tail"]


@pytest.mark.parametrize(
    "page",
    [
        "<body style='display:none'><p>Shown by a script.</p></body>",
        "<body><main aria-hidden=true><p>Shown by a script.</p></main></body>",
        "<body><nav><p>Shown by a script.</p></nav></body>",
    ],
)
def test_a_page_that_hides_all_of_itself_is_read(page: str) -> None:
    """Scripts show it; or it was saved while a dialog was open."""
    assert read(page).text == "Shown by a script."


@pytest.mark.parametrize("suffix", [".html", ".epub"])
def test_a_summary_is_the_heading_of_what_it_opens(suffix: str) -> None:
    """So a question that it asks is not quoted as its own answer; the section ends with the details."""
    found = read(
        f"<body>{INTRODUCTION}<h2>Duties</h2><details><summary>Who trims it?</summary>The keeper."
        "<details><summary>And on Sundays?</summary><p>His wife.</p></details>Always.</details><p>They are paid.</p>"
        "<details><summary>Nothing else</summary></details></body>",
        suffix,
    )
    outer = ("Lamps",) if suffix == ".epub" else ()  # the title of a book is not that of a chapter
    found_blocks = [(block.section_path, found.text[block.start : block.end]) for block in found.outline.blocks[2:]]
    assert found_blocks == [
        ((*outer, "Duties", "Who trims it?"), "The keeper."),
        ((*outer, "Duties", "Who trims it?", "And on Sundays?"), "His wife."),
        ((*outer, "Duties", "Who trims it?"), "Always."),
        ((*outer, "Duties"), "They are paid."),
        ((*outer, "Duties"), "Nothing else"),
    ]


def test_a_list_of_links_to_the_headings_of_a_page_is_left_out() -> None:
    """It repeats them. Headings that link to themselves are no such list."""
    names = ("Trimming", "Winding", "Polishing", "Oil")
    contents = "".join(f"<li><a href='#{name}'>{name}</a></li>" for name in names)
    sections = "".join(f"<h2><a href='#{name}'>{name}</a></h2><p>At dusk.</p>" for name in names)
    found = read(f"<body><main>{INTRODUCTION}<ul>{contents}</ul>{sections}</main></body>")
    assert [block.section_path for block in found.outline.blocks[2:]] == [(name,) for name in names]


def test_the_title_is_the_first_heading_of_the_content() -> None:
    """Not the name of the site above it."""
    page = "<title>Oil - Lamps</title><body><h1>Lamps</h1><main><h1>Oil</h1><p>Rape.</p></main></body>"
    assert read(page).outline.title == "Oil"
    found = read(page.replace("<p>", "<h2>Kinds</h2><p>"))
    assert found.outline.blocks[-1].section_path == ("Kinds",)  # below the title, which is part of no path
    assert read(page.replace("main", "div")).outline.title == "Oil"
    assert read(page.replace("main", "div").replace("Oil - ", "")).outline.title == "Lamps"


def test_what_opens_on_demand_is_read() -> None:
    """Such as a closed disclosure, and text that the browser's search finds."""
    assert blocks("<p hidden=until-found>found</p><dialog open>said</dialog>") == ["found", "said"]


def test_code_comes_once_and_as_it_stands() -> None:
    """A block with its lines, inline code within its sentence."""
    found = read(
        f"<body>{INTRODUCTION}<p>Call <code>trim(4)</code> first.</p>"
        "<pre><code><span class=k>def</span> trim(n):\n    return n</code></pre>"
        "<ul><li>Then:<pre>a<br>b</pre></li></ul><div class=code><pre><div>one</div><div>two</div></pre></div></body>"
    )
    texts = [(block.kind, found.text[block.start : block.end]) for block in found.outline.blocks[2:]]
    assert texts == [
        ("paragraph", "Call trim(4) first."),
        ("code", "def trim(n):\n    return n"),
        ("list_item", "Then:"),
        ("code", "a\nb"),
        ("code", "one\ntwo"),
    ]


def test_numbers_of_lines_are_no_code() -> None:
    """Neither in a cell beside it, nor before each line."""
    beside = "<table><tr><td class=linenos><pre>1\n2</pre></td><td><pre>a = 1\nb = 2</pre></td></tr></table>"
    assert blocks(beside) == ["a = 1\nb = 2"]
    assert blocks("<pre><span class=lineno>1 </span>a\n<span class=lineno>2 </span>b</pre>") == ["a\nb"]


def test_a_small_page_has_its_structure() -> None:
    """Headings, rows and items, though there is too little text to tell the main content."""
    found = read("<body><h1>Tides</h1><p>High at noon.</p><h2>Fees</h2><ol><li>One</li><li>Two</li></ol></body>")
    assert found.outline.title == "Tides"
    assert [(block.section_path, block.kind) for block in found.outline.blocks] == [
        ((), "paragraph"),
        (("Fees",), "list_item"),
        (("Fees",), "list_item"),
    ]


def test_a_row_keeps_equal_and_empty_cells_in_their_columns() -> None:
    """A header is followed by a rule, as in Markdown."""
    head = row("Lamp", "2020", "2021", "2022", head=True)
    assert table(head + row("North", "5", "5", "7") + row("South", "", "4", "")) == [
        "Lamp | 2020 | 2021 | 2022",
        "--- | --- | --- | ---",
        "North | 5 | 5 | 7",
        "South |  | 4 | ",
    ]


def test_a_row_that_begins_with_an_empty_cell_begins_with_a_bar() -> None:
    """So that its cells can be counted, as can those with a bar in them."""
    assert table(row("", "2020", head=True) + row("a|b", "1")) == ["|  | 2020", "--- | ---", r"a\|b | 1"]


def test_merged_cells_stand_in_each_row_and_in_their_first_column() -> None:
    """The names of merged columns stand in all of them."""
    head = "<thead><tr><th rowspan=2>Coast</th><th colspan=2>2020</th></tr><tr><th>Oil</th><th>Wick</th></tr></thead>"
    body = "<tr><td rowspan=2>North</td><td>5</td><td>6</td></tr><tr><td>7</td><td>8</td></tr>"
    assert table(f"{head}{body}<tr><td>South</td><td colspan=2>none</td></tr>") == [
        "Coast | 2020 Oil | 2020 Wick",
        "--- | --- | ---",
        "North | 5 | 6",
        "North | 7 | 8",
        "South | none | ",
    ]


def test_a_title_within_a_table_and_its_caption_are_paragraphs_of_their_own() -> None:
    """A row over all columns in the middle is a row of one cell."""
    assert table(
        "<caption>Oil</caption><tr><td colspan=2>In pints</td></tr>"
        + row("Lamp", "Oil", head=True)
        + row("a", "1")
        + "<tr><td colspan=2>South</td></tr>"
        + row("b", "2")
    ) == ["Oil", "", "In pints", "", "Lamp | Oil", "--- | ---", "a | 1", "South", "b | 2"]


def test_the_first_row_is_a_header_only_if_it_looks_like_one() -> None:
    """A fact in it would never be quoted."""
    assert "---" not in "".join(table(row("Phone", "555 0100") + row("Fax", "555 0199") + row("Room", "4")))
    assert "---" not in "".join(table(row("Name", "Anna") + row("Age", "31") + row("Height", "9")))
    assert "---" in "".join(
        table(row("Lamp", "2020", "2021") + row("a", "5", "1,200") + row("b", "6.5", "-")[:0] + row("c", "1", "2"))
    )
    assert "---" in "".join(table(row("<b>Lamp</b>", "<b>Keeper</b>") + row("North", "Anna")))


def test_columns_of_signs_join_their_numbers_and_empty_columns_go() -> None:
    """As filings have them, whose headers are not marked and have several rows."""
    years = "<tr><td></td><td colspan=2>2020</td><td></td><td colspan=3>2021</td></tr>"
    figures = row("Sales", "$", "4,200", "", "(", "3", ")") + row("Costs", "$", "1", "", "(", "2", ")")
    expected = ["Sales | $ 4,200 | ( 3 )", "Costs | $ 1 | ( 2 )"]
    assert table(years + figures) == ["|  | 2020 | 2021", "--- | --- | ---", *expected]
    audited = "<tr><td></td><td colspan=6>Audited</td></tr>"
    assert table(audited + years + figures) == ["|  | Audited 2020 | Audited 2021", "--- | --- | ---", *expected]


def test_a_table_in_a_cell_follows_its_row() -> None:
    """Its rows are rows; items of a list in a cell are parted."""
    inner = f"<table>{row('Lid', '77')}{row('Base', '80')}</table>"
    lines = table(row("Lamp", "Oil", f"Parts{inner}") + row("Keeper", "<ul><li>Anna</li><li>Bea</li></ul>", "c"))
    assert [line for line in lines if line] == ["Lamp | Oil | Parts", "Lid | 77", "Base | 80", "Keeper | Anna Bea | c"]


def test_a_table_for_the_layout_is_read_as_paragraphs() -> None:
    """Whether it says so, or holds headings, or has one column."""
    assert table(row("<h2>Left</h2><p>One.</p>", "<p>Two.</p>")) == ["Left", "", "One.", "", "Two."]
    assert table(row("One.") + row("Two.")) == ["One.", "", "Two."]
    found = read("<table role=presentation><tr><td>One.</td><td>Two.</td></tr></table>")
    assert found.text == "One.\n\nTwo."


def test_equations_are_text() -> None:
    """By their presentation; the copy in TeX, and a picture's hidden words, do not come again."""
    power = "<msup><mi>c</mi><mn>2</mn></msup>"
    annotation = '<annotation encoding="application/x-tex">mc^2</annotation>'
    energy = f"<semantics><mrow><mi>E</mi><mo>=</mo><mi>m</mi>{power}</mrow>{annotation}</semantics>"
    assert blocks(
        f"<p>Here <math>{energy}</math> holds.</p>"
        "<p><math><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><msqrt><mn>2</mn></msqrt></mfrac></math></p>"
        f"<p><span style='display:none'><math><mi>z</mi></math></span><img aria-hidden=true alt='z'></p>"
        "<p><script type='math/tex'>x_1</script></p>"
    ) == ["Here E = mc^2 holds.", "(a + b)/(√(2))", "z", "x_1"]


def test_navigation_around_the_content_is_left_out() -> None:
    """By its element or role, and where most words of a part are links and it is no main content."""
    links = "".join(f"<li><a href=/{number}>Topic {number} of the site</a></li>" for number in range(20))
    prose = "<p>The lamp of the tower burns all night, and nobody on the coast has ever seen it go out.</p>" * 12
    found = read(
        f"<body><div class=menu><ul>{links}</ul></div><div role=navigation>xylophone</div>"
        f"<div>{INTRODUCTION}{prose}<ul><li><a href=a>Lamps by year</a></li></ul></div>"
        "<div id=cookie-banner>We use xylophones.</div><footer>xylophone</footer></body>"
    )
    assert "Topic" not in found.text
    assert [(dropped.kind, dropped.count) for dropped in found.outline.dropped] == [("link list", 2)]
    assert "xylophone" not in found.text
    assert found.outline.title == "Lamps"


def test_a_part_with_links_and_a_name_that_says_so_is_left_out_but_not_one_with_facts() -> None:
    """Such as other stories within an article; a contact beside it stays."""
    prose = "".join(
        f"<p>In the year {n} the lamp burned all night, and nobody saw it go out.</p>" for n in range(1811, 1850)
    )
    others = "".join(f"<li><a href=/{n}>Another light on this coast, number {n}</a> by Bea</li>" for n in range(5))
    found = read(
        f"<body><article>{INTRODUCTION}{prose}<div class='box related-stories'><ul>{others}</ul></div>{prose}</article>"
        "<div class=sidebar><p>Call the keeper: 555 0100.</p></div></body>"
    )
    assert "Another light" not in found.text
    assert "555 0100" in found.text


def test_the_footer_of_a_part_and_facts_beside_the_content_are_read() -> None:
    """Only the page's own footer is not."""
    assert blocks("<article><footer>By Anna.</footer></article><aside>Open nine to five.</aside>") == [
        "By Anna.",
        "Open nine to five.",
    ]


def test_a_heading_has_no_permalink_and_may_have_a_role() -> None:
    """The sign that links to it is not part of its words."""
    found = read(
        f"<body>{INTRODUCTION}<h2>Oil<a class=headerlink href='#oil'>¶</a></h2><p>Rape.</p>"
        "<div role=heading aria-level=3>Price</div><p>Two pence.</p></body>"
    )
    assert [block.section_path for block in found.outline.blocks[2:]] == [("Oil",), ("Oil", "Price")]


def test_elements_closed_at_once_in_xhtml_do_not_swallow_the_chapter() -> None:
    """As in many books."""
    page = (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="a.js"/></head>'
        '<body><a id="p1"/><h1>Dawn</h1><p>The lamp goes out.<br/>It is day.</p></body></html>'
    )
    assert read(page, ".epub").text == "Dawn\n\nThe lamp goes out. It is day."
    assert read(page).text == "Dawn\n\nThe lamp goes out. It is day."


def test_the_contents_of_a_book_are_no_chapter_but_its_asides_are_text() -> None:
    """Notes often stand in asides."""
    page = (
        '<body><nav epub:type="toc"><li>Dawn</li></nav><p>Lamp.</p><aside epub:type="footnote">Of brass.</aside></body>'
    )
    assert read(page, ".epub").text == "Lamp.\n\nOf brass."


def test_a_missing_or_blank_chapter_does_not_refuse_the_book() -> None:
    """A warning names the missing one."""
    whole = documents.epub(["<body><p>One.</p></body>", "", "<body><p>Three.</p></body>"])
    files = documents.unpacked(whole)
    del files["OEBPS/text/ch 0.xhtml"]
    (found,) = FORMATS[".epub"].read(documents.archive(files), Limits())
    assert found.text == "Three."
    assert found.warnings == ("OEBPS/text/ch 0.xhtml is listed as a chapter, but is missing",)


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 10_000 + "deep",
        "<table><tr><td>" * 10_000 + "deep",
        "<table><tr><td rowspan=65534>x" * 2_000,
        "<table><tr>" + "<td colspan=1000 rowspan=0>word" * 1_000 + "<tr><td>x" * 3_000,
        "<math>" + "<mrow>" * 10_000 + "<mi>x",
        "<ruby>" * 5_000 + "<sup>" * 5_000 + "<pre>" * 5_000 + "x",
        "<tr><td><th></table></td><caption><tbody>x</pre></li></h1></dd>",
        "<div " * 20_000,
        "<a/" * 50_000,
    ],
)
def test_hostile_pages_are_read_or_refused(page: str) -> None:
    """However deeply elements nest, and however much their spans cover; the text does not explode."""
    found = read(f"<html xmlns='http://www.w3.org/1999/xhtml'><body><p>First.</p>{page}</body></html>")
    assert found.text.startswith("First.")
    assert len(found.text) < 10 * len(page) + 100_000
