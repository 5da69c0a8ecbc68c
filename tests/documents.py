"""Documents in every supported format; where possible, another library writes them than the one that reads them."""

import io
import json
import zipfile
from collections.abc import Sequence

import docx
from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

HTML = """<!doctype html><html lang="en"><head><title>Harbour</title>
<link rel="canonical" href="https://harbour.example/dawn"><style>p { color: red }</style></head><body>
<nav><a href="/">Home</a> <a href="/about">About us</a></nav>
<main><article><h1>The harbour at dawn</h1>
<p>The first boats leave the harbour at <b>five</b> o&#8217;clock, long before the market opens on the quay.</p>
<h2>Ropes &amp; sails</h2>
<p>Ropes dry on iron hooks beside the sails all winter, until the master asks for them in April.</p>
<p style="display:none">Hidden words that nobody should find, such as xylophone.</p>
<ul><li>Nets lie folded along the pier wall.</li><li>Crates of ice wait for the morning tide.</li></ul>
<table><tr><th>Boat</th><th>Length</th></tr><tr><td>Anna</td><td>12 m</td></tr></table>
<p onclick="alert(1)">Click <a href="javascript:alert(1)">here</a> to see the tide table of the whole year.</p>
</article></main><footer>Copyright of nobody. Cookie policy.</footer><script>alert("never")</script></body></html>
"""

RST = """The harbour
===========

Boats leave at *five*. They come back at noon.

Ropes
-----

- Ropes dry on hooks.
- Sails hang beside them.

.. include:: /etc/passwd

.. raw:: html

   <script>alert(1)</script>

::

   code stays
     as it is

======  ======
Boat    Length
======  ======
Anna    12 m
======  ======
"""

EPUB_CHAPTERS = (
    "<html><head><title>One</title></head><body><h1>Chapter one</h1><p>The captain wakes at dawn.</p></body></html>",
    "<html><body><h1>Chapter two</h1><h2>Noon</h2><p>The cook serves <i>soup</i> at noon.</p></body></html>",
)


def pdf(pages: Sequence[Sequence[tuple[str, str]]], *, encrypt: str | None = None) -> bytes:
    """Return a PDF from pages of (style, text), with reportlab's style names, such as Heading1 and BodyText."""
    styles = getSampleStyleSheet()
    story: list[object] = []
    for number, page in enumerate(pages):
        if number:
            story.append(PageBreak())
        story.extend(Paragraph(text, styles[style]) for style, text in page)
    file = io.BytesIO()
    SimpleDocTemplate(file, pagesize=A5, encrypt=encrypt, invariant=1).build(story)
    return file.getvalue()


def pdf_of_lines(pages: Sequence[Sequence[str]]) -> bytes:
    """Return a PDF whose pages consist of the given lines, equally spaced."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A5, invariant=1)
    for page in pages:
        for number, line in enumerate(page):
            canvas.drawString(40, 540 - 14 * number, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def word(paragraphs: Sequence[tuple[str, str]], table: Sequence[Sequence[str]] = ()) -> bytes:
    """Return a DOCX from (style, text), with an optional table at the end."""
    document = docx.Document()
    for style, text in paragraphs:
        document.add_paragraph(text, style=style)
    if table:
        added = document.add_table(rows=0, cols=len(table[0]))
        for row in table:
            for cell, text in zip(added.add_row().cells, row, strict=True):
                cell.text = text
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD_NAMESPACES = " ".join(
    f'xmlns:{prefix}="http://schemas.openxmlformats.org/{path}"'
    for prefix, path in {
        "w": "wordprocessingml/2006/main",
        "r": "officeDocument/2006/relationships",
        "m": "officeDocument/2006/math",
        "wp": "drawingml/2006/wordprocessingDrawing",
        "a": "drawingml/2006/main",
        "dgm": "drawingml/2006/diagram",
        "mc": "markup-compatibility/2006",
        "v": "any",
    }.items()
)


def word_xml(body: str, **parts: str) -> bytes:
    """Return a DOCX from the XML of its body and of other parts, whose relationship has the part's name as its id.

    A part's kind is its name without digits; a name of several words, such as ``aFChunk_htm``, ends in the extension.
    """
    files = {"word/document.xml": f"<w:document {_WORD_NAMESPACES}><w:body>{body}</w:body></w:document>"}
    entries = ""
    for name, content in parts.items():
        kind, _, extension = name.rstrip("0123456789").partition("_")
        target = f"{name}.{extension or 'xml'}"
        entries += f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        is_page = extension == "htm"
        files[f"word/{target}"] = content if is_page else f"<w:{kind} {_WORD_NAMESPACES}>{content}</w:{kind}>"
    root = f'<Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/>'
    namespace = "http://schemas.openxmlformats.org/package/2006/relationships"
    for place, inside in (("_rels/.rels", root), ("word/_rels/document.xml.rels", entries)):
        files[place] = f'<Relationships xmlns="{namespace}">{inside}</Relationships>'
    return archive({name: content.encode() for name, content in files.items()})


def epub(chapters: Sequence[str | bytes] = EPUB_CHAPTERS, title: str = "A day at sea") -> bytes:
    """Return an EPUB of XHTML chapters, whose names are percent-encoded in the package."""
    items = "".join(
        f'<item id="c{n}" href="text/ch%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    files: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container,
        "OEBPS/book.opf": package,
    }
    files |= {f"OEBPS/text/ch {number}.xhtml": chapter for number, chapter in enumerate(chapters)}
    return archive({name: content.encode() if isinstance(content, str) else content for name, content in files.items()})


def archive(files: dict[str, bytes]) -> bytes:
    """Return a ZIP archive, the same each time."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, content in files.items():
            written.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """Return the files of a ZIP archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


VARIANTS = {
    "plain": "The {x} leaves at dawn. It returns at noon, heavy with fish.",
    "combining": "Le cafe\u0301 du {x} ouvre a\u0300 midi. On y boit du the\u0301 vert.",
    "emoji": "The {x} 👩\u200d🚀 waves 🇰🇷 twice. Then 🌊 comes 👍🏽.",
    "rtl": "הסירה {x} יוצאת. היא חוזרת.",
    "korean": "{x} \ubc30\ub294 \uc0c8\ubcbd\uc5d0 \ub5a0\ub09c\ub2e4. \uc815\uc624\uc5d0 \ub3cc\uc544\uc628\ub2e4.",
    "long": "The {x} and its crew of nine sail on. " * 30,
    "hidden": "The {x}\u200b sails\u00ad on\u202e and\u2066 on\ufeff. It never stops.",
}
_XHTML = '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>{t}</h1><p>{p}</p></body></html>'


def corpus() -> dict[str, bytes]:
    """Return over eighty files: seven kinds of text in every format that can hold them, and hostile files."""
    files: dict[str, bytes] = {}
    for kind, pattern in VARIANTS.items():
        text = pattern.format(x=f"boat {kind}")
        one, two = f"# Log {kind}\n\n{text}\n", text.replace(". ", ".\r\n")
        files |= {
            f"text/{kind}.txt": text.encode(),
            f"text/{kind}-crlf.txt": two.encode(),
            f"text/{kind}-bom.md": one.encode("utf-8-sig"),
            f"text/{kind}-wide.txt": text.encode("utf-16"),
            f"text/{kind}.rst": f"Log\n===\n\n{text}\n".encode(),
            f"web/{kind}.html": _XHTML.format(t=f"Log {kind}", p=text).encode(),
            f"office/{kind}.docx": word([("Heading 1", f"Log {kind}"), ("Normal", text)]),
            f"office/{kind}.epub": epub([_XHTML.format(t=f"Log {kind}", p=text)]),
            f"rows/{kind}.csv": f'title,text\nLog {kind},"{text}"\n'.encode(),
            f"rows/{kind}.jsonl": (json.dumps({"title": f"Log {kind}", "text": text}) + "\n").encode(),
        }
        if text.isascii():
            files[f"print/{kind}.pdf"] = pdf([[("Heading1", f"Log {kind}"), ("BodyText", text)]] * 2)
    harm = {
        "cut.pdf": files["print/plain.pdf"][:400],
        "locked.pdf": pdf([[("BodyText", "Secret.")]], encrypt="key"),
        "none.pdf": b"%PDF-1.7",
        "bomb.docx": archive({"word/document.xml": b"0" * 5_000_000}),
        "empty.docx": b"PK\x03\x04",
        "slip.epub": archive({"../../etc/evil.xhtml": b"<p>x</p>"}),
        "really.txt": b"\x89PNG\r\n",
        "bad.txt": "caf\u00e9 ".encode() + b"\xff\xfe",
        "deep.html": b"<div>" * 20_000 + b"<p>Deep down.</p>",
        "deep.jsonl": b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"\n",
        "uneven.csv": b"a,b\n1\n",
        "blank.txt": b" \n\n",
    }
    return files | {f"harm/{name}": data for name, data in harm.items()}
