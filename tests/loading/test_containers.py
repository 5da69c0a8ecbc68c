"""ZIP archives and mails: their files are documents of their own, with a place, and bombs are refused."""

import io
import struct
import zipfile
from email.message import EmailMessage
from itertools import pairwise
from typing import Any

import documents
import pytest
from conftest import FakeEmbedder

from qa_service.loading import Limits, ParserProcess
from qa_service.loading.formats import parts_of
from qa_service.loading.outline import ParsedDocument, SkippedPart, UnreadableError
from qa_service.pipeline import build
from qa_service.settings import Settings

NAMES = {f"{letter}.md": f"# {letter}\n\nWords of {letter} stand here." for letter in "ab"}


def read(suffix: str, data: bytes, **limits: int) -> dict[str, str]:
    """Return the text or the reason of each part by its place."""
    parts = list(parts_of(suffix, data, Limits(**limits)))
    assert len({part.part for part in parts}) == len(parts)
    return {part.part: part.reason if isinstance(part, SkippedPart) else part.text for part in parts}


def test_the_files_of_an_archive_are_documents(folder: Any, settings: Settings, fake: FakeEmbedder) -> None:
    """With their path in the uri and the media type of their format; rows too. Unknown formats are no failures."""
    inner = documents.archive({"c.csv": "name,words\nx,One row\n"})
    folder({"all.zip": documents.archive({**NAMES, "sub/in.zip": inner, "photo.png": b"png", ".hidden.md": "x"})})
    report = build(settings, fake)
    assert report.documents == 3
    assert [(skipped.uri, skipped.failed) for skipped in report.skipped] == [("all.zip!/photo.png", False)]
    found = list(parts_of(".zip", documents.archive({"in.zip": inner, **NAMES}), Limits()))
    assert [(part.part, part.media_type) for part in found] == [
        ("!/a.md", "text/markdown"),
        ("!/b.md", "text/markdown"),
        ("!/in.zip!/c.csv#row=2", "text/csv"),
    ]


def test_names_of_files_lead_nowhere() -> None:
    """Neither out of the archive nor into a part of another uri; two of the same name have two places."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in (
            "../../etc/a.txt",
            "/b.txt",
            "c\\..\\d.txt",
            "e#f.txt",
            "g!/h.txt",
            "x.txt",
            "./x.txt",
            "\x01y.txt",
        ):
            archive.writestr(name, f"Words of {name!r} stand here.")
    places = ("etc/a.txt", "b.txt", "c/d.txt", "e%23f.txt", "g%21/h.txt", "x.txt", "x (2).txt", "y.txt")
    assert set(read(".zip", file.getvalue())) == {f"!/{name}" for name in places}


def test_bombs_are_refused() -> None:
    """By size, ratio, number of files and depth; an archive in itself ends at the third level."""
    zeros = documents.archive({"a.txt": b"\0" * 20_000_000})
    with pytest.raises(UnreadableError, match="times its size, over the limit of 200"):
        read(".zip", zeros)
    with pytest.raises(UnreadableError, match="QA_MAX_EXPANDED_MB"):
        read(".zip", zeros, expanded_bytes=1_000_000)
    with pytest.raises(UnreadableError, match="10001 files"):
        read(".zip", documents.archive({f"{number}.txt": b"" for number in range(10_001)}))
    assert "over the limit" in read(".zip", documents.archive({"in.zip": zeros, "b.txt": b"Words."}))["!/in.zip"]
    nested = documents.archive({"a.txt": b"Deep words."})
    for _ in range(4):
        nested = documents.archive({"n.zip": nested})
    assert read(".zip", nested) == {"!/n.zip!/n.zip!/n.zip!/n.zip": "nested in 3 files, it is not read"}
    shared = documents.archive({"a.txt": bytes(range(32, 127)) * 10})
    outer = documents.archive({f"{number}.zip": shared for number in range(3)})
    assert all(
        "over the limit" in reason for reason in read(".zip", outer, expanded_bytes=len(shared) * 3 + 100).values()
    )


def test_damaged_and_encrypted_files_are_skipped_and_the_others_read() -> None:
    """So are those that their own reader refuses."""
    data = bytearray(documents.archive({"a.txt": "Words stand here. " * 50, "b.docx": b"no archive", "c.txt": "Last."}))
    start = data.index(b"a.txt") + 8
    data[start : start + 4] = b"\xff\xff\xff\xff"
    found = read(".zip", bytes(data))
    assert "is damaged" in found["!/a.txt"]
    assert "not a readable archive" in found["!/b.docx"]
    assert found["!/c.txt"] == "Last."
    encrypted = bytearray(documents.archive({"a.txt": "Words."}))
    encrypted[6] |= 1
    place = encrypted.index(b"PK\x01\x02")
    encrypted[place + 8] |= 1
    assert "encrypted" in read(".zip", bytes(encrypted))["!/a.txt"]


def message(subject: str = "An offer for boats") -> EmailMessage:
    found = EmailMessage()
    found["From"], found["To"], found["Subject"] = "Ann <ann@harbour.example>", "Bob <bob@pier.example>", subject
    found["Date"] = "Fri, 01 Mar 2024 10:00:00 +0000"
    found.set_content("Dear Bob,\n\nboats cost 20 € a day.\n\n- Anna\n")
    return found


def test_a_mail_has_its_headers_text_and_attachments() -> None:
    """The plain part is read, not its page; pictures in the page are no attachments."""
    mail = message()
    mail.add_alternative("<p>As a page</p><img src='cid:1'>", subtype="html")
    mail.add_attachment(b"name,price\nAnna,20\n", maintype="text", subtype="csv", filename="prices.csv")
    mail.add_attachment(b"png", maintype="image", subtype="png", filename="photo.png")
    inner = message("The answer")
    inner.add_attachment("Deep words.", filename="deep.txt")
    mail.add_attachment(inner)
    found = read(".eml", mail.as_bytes())
    head = "From: Ann <ann@harbour.example>\n\nTo: Bob <bob@pier.example>\n\nDate: Fri, 01 Mar 2024 10:00:00 +0000"
    text = "Dear Bob,\n\nboats cost 20 € a day.\n\n- Anna"
    assert found == {
        "": f"An offer for boats\n\n{head}\n\n{text}",
        "!/prices.csv#row=2": "name: Anna\nprice: 20",
        "!/photo.png": "format .png is not read",
        **{place: words for place, words in found.items() if "message" in place},
    }
    answer = next(place for place in found if "message" in place and place.endswith(".eml"))
    assert found[answer] == f"The answer\n\n{head}\n\n{text}"
    assert found[f"{answer}!/deep.txt"].strip() == "Deep words."


def test_a_mail_without_plain_text_is_read_as_a_page() -> None:
    """In its declared encoding; the subject is the title."""
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "ann@harbour.example", "Caf\u00e9"
    mail.set_content(
        "<h2>Fees</h2><p>Caf\u00e9: 5 euros</p><p style='display:none'>x</p>", "html", charset="iso-8859-1"
    )
    (found,) = parts_of(".eml", mail.as_bytes(), Limits())
    assert isinstance(found, ParsedDocument)
    assert found.outline.title == "Caf\u00e9"
    assert found.text == "Caf\u00e9\n\nFrom: ann@harbour.example\n\nFees\n\nCaf\u00e9: 5 euros"


def compound_file(streams: dict[tuple[str, ...], bytes]) -> bytes:
    """Return a compound file. Streams are filled up to 4,096 bytes, so that none is a mini stream."""
    paths = sorted({path[:length] for path in streams for length in range(1, len(path) + 1)})
    children: dict[tuple[str, ...], list[int]] = {}
    for number, path in enumerate(paths, start=1):
        children.setdefault(path[:-1], []).append(number)
    following = {one: other for group in children.values() for one, other in pairwise(group)}
    none, end = 0xFFFFFFFF, 0xFFFFFFFE
    sectors = -(-(len(paths) + 1) * 128 // 512)
    fat, body, entries = [0xFFFFFFFD, *range(2, sectors + 1), end], b"", []
    for number, path in enumerate([(), *paths]):
        name = (path[-1] if path else "Root Entry").encode("utf-16-le")
        data = streams.get(path, b"").ljust(4096, b"\0") if path in streams else b""
        data = data.ljust(-(-len(data) // 512) * 512, b"\0")
        begin = len(fat) if data else end
        fat += [*range(begin + 1, begin + len(data) // 512), end] if data else []
        body += data
        kind = 5 if not path else 2 if path in streams else 1
        entries.append(
            name.ljust(64, b"\0")
            + struct.pack("<HBB", len(name) + 2, kind, 1)
            + struct.pack("<III", none, following.get(number, none), children.get(path, [none])[0])
            + bytes(36)
            + struct.pack("<IQ", begin, len(data))
        )
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 62, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, end, 0, end, 0) + struct.pack("<I", 0)
    directory = b"".join(entries).ljust(sectors * 512, b"\0")
    table = b"".join(struct.pack("<I", number) for number in fat).ljust(512, b"\xff")
    return header.ljust(512, b"\xff") + table + directory + body


def outlook(subject: str, **attachments: bytes) -> bytes:
    texts = {"0037": subject, "0C1A": "Ann", "0C1F": "ann@harbour.example", "0E04": "Bob", "1000": "Boats cost 20 €."}
    streams = {(f"__substg1.0_{number}001F",): text.encode("utf-16-le") for number, text in texts.items()}
    for number, (name, data) in enumerate(attachments.items()):
        folder = f"__attach_version1.0_#{number:08}"
        streams[folder, "__substg1.0_3707001F"] = name.replace("_", ".").encode("utf-16-le")
        streams[folder, "__substg1.0_37010102"] = data.ljust(4096)
    return compound_file(streams)


def test_an_outlook_message_is_read_like_a_mail() -> None:
    """Its attachments are documents too."""
    found = read(".msg", outlook("An offer", note_txt=b"Words of a note.", photo_png=b"png"))
    assert found.pop("!/note.txt").strip() == "Words of a note."
    assert found == {
        "": "An offer\n\nFrom: Ann <ann@harbour.example>\n\nTo: Bob\n\nBoats cost 20 €.",
        "!/photo.png": "format .png is not read",
    }


def test_hostile_mails_are_refused_or_read() -> None:
    """No headers, many parts, parts within parts, damaged encodings."""
    mail = message()
    for number in range(201):
        mail.add_attachment(b"x", maintype="text", subtype="plain", filename=f"{number}.txt")
    deep = message()
    for _ in range(30):
        outer = message()
        outer.add_attachment(deep)
        deep = outer
    head = b"From: a\nSubject: =?x?q?=\nContent-Type: multipart/mixed; boundary=b\n\n"
    odd = b"--b\nContent-Type: text/plain; charset=no-such\nContent-Transfer-Encoding: base64\n\n%%%%\n--b\n" * 50
    with ParserProcess(Limits(seconds=60)) as parser:
        for suffix, data in ((".eml", b"no headers here"), (".msg", b"no message"), (".msg", outlook("A")[:1500])):
            with pytest.raises(UnreadableError):
                list(parser.read(suffix, data))
        with pytest.raises(UnreadableError, match="201 attachments"):
            list(parser.read(".eml", mail.as_bytes()))
        found = list(parser.read(".eml", deep.as_bytes()))
        assert len(found) == 5
        assert found[-1].reason == "nested in 3 files, it is not read"
        assert list(parser.read(".eml", head + odd))


def test_places_of_parts_are_uris(folder: Any, settings: Settings, fake: FakeEmbedder) -> None:
    """A mail in an archive, with an attachment, in the index."""
    mail = message()
    mail.add_attachment(b"Words of the note stand here.", maintype="text", subtype="plain", filename="note.txt")
    folder({"in.zip": documents.archive({"m.eml": mail.as_bytes()})})
    report = build(settings, fake)
    assert report.documents == 2
    assert not report.skipped
