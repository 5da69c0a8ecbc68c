"""Decoding: the encoding that a file declares, shows or most likely has."""

import documents
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.loading import Limits, ParserProcess
from qa_service.loading.decoding import declared_encoding, decode
from qa_service.loading.outline import ParsedDocument, UnreadableError

GERMAN = "Die F\u00e4hre legt um f\u00fcnf Uhr ab, drau\u00dfen ist es k\u00fchl."
CZECH = (
    "P\u0159\u00edvoz odpl\u00fdv\u00e1 v p\u011bt hodin r\u00e1no, kdy\u017e je na \u0159ece je\u0161t\u011b ticho."
)
POLISH = "Prom odp\u0142ywa o pi\u0105tej rano, gdy na rzece jest jeszcze cicho i wsz\u0119dzie le\u017cy mg\u0142a."
RUSSIAN = "\u041f\u0430\u0440\u043e\u043c \u043e\u0442\u0445\u043e\u0434\u0438\u0442 \u0432 \u043f\u044f\u0442\u044c."
GREEK = "\u03a4\u03bf \u03c0\u03bb\u03bf\u03af\u03bf \u03c6\u03b5\u03cd\u03b3\u03b5\u03b9 \u03ad\u03be\u03b9."
JAPANESE = "\u2460\u8239\u306f\u4e94\u6642\u306b\u51fa\u307e\u3059\u3002\u6e2f\u306f\u6697\u3044\u3002"
KOREAN = "\ubc30\ub294 \ub2e4\uc12f \uc2dc\uc5d0 \ub5a0\ub0a9\ub2c8\ub2e4. \ub620\ubc29\uac01\ud558."
CHINESE = "\u6e21\u8f2a\u65e9\u4e0a\u4e94\u9ede\u958b\u51fa\uff0c\u6cb3\u4e0a\u9084\u5f88\u5b89\u975c\u3002"
SIMPLIFIED = "\u6e21\u8f6e\u65e9\u4e0a\u4e94\u70b9\u5f00\u51fa\uff0c\u6cb3\u4e0a\u8fd8\u5f88\u5b89\u9759\u3002"
HINDI = "\u0928\u093e\u0935 \u092a\u093e\u0901\u091a \u092c\u091c\u0947 \u091a\u0932\u0924\u0940 \u0939\u0948\u0964\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "cp1252"),
        ("The caf\u00e9 opens at nine.", "cp1252"),
        ("Fee: \u00a320 \u2013 \u201cper boat\u201d", "cp1252"),
        (CZECH, "cp1250"),
        (POLISH, "iso8859_2"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (RUSSIAN, "iso8859_5"),
        (RUSSIAN, "cp866"),
        (GREEK, "cp1253"),
        (JAPANESE, "cp932"),
        (JAPANESE[1:], "euc_jp"),
        (JAPANESE[1:], "iso2022_jp"),
        (KOREAN, "cp949"),
        (CHINESE, "big5hkscs"),
        (SIMPLIFIED, "gb18030"),
    ],
)
def test_the_likeliest_encoding_gives_the_text_back(text: str, encoding: str) -> None:
    """For single sentences: Windows-1252 where few letters tell nothing, otherwise supersets of what is declared."""
    assert decode(text.encode(encoding))[0] == text


@pytest.mark.parametrize("text", ["Hi", "The boat leaves.\r\n", RUSSIAN, GREEK, HINDI, f"{CHINESE}\n", GERMAN])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_utf_16_and_32_are_told_by_their_nul_bytes(text: str, encoding: str) -> None:
    """Without a byte order mark, in any script; the warning names the encoding."""
    text += " "
    decoded, warning = decode(text.encode(encoding))
    assert (decoded, encoding in warning) == (text, True)


@pytest.mark.parametrize("data", [b"a\0bc", b"one\0two three four\n", b"\0" * 12, "\u00e4\0\u00f6 text".encode()])
def test_utf_8_with_a_few_nul_bytes_stays_utf_8(data: bytes) -> None:
    """They are hidden from the model later."""
    assert decode(data) == (data.decode(), "")


def test_a_declaration_decides_where_the_bytes_allow_it() -> None:
    """In its superset; UTF-8 that declares a single-byte encoding is UTF-8, with a warning."""
    assert decode(JAPANESE.encode("cp932"), "Shift_JIS") == (JAPANESE, "")
    assert decode(RUSSIAN.encode("koi8_r"), "koi8-r") == (RUSSIAN, "")
    assert decode("\u201cYes\u201d".encode("cp1252"), "ISO-8859-1") == ("\u201cYes\u201d", "")
    assert decode(GERMAN.encode(), "iso-8859-1") == (GERMAN, "declares iso-8859-1, but is UTF-8")
    assert decode(GERMAN.encode("cp1252"), "utf-8")[0] == GERMAN
    assert decode(GERMAN.encode("cp1252"), "no-such-encoding")[0] == GERMAN


def test_damaged_bytes_are_refused_or_shown_as_such() -> None:
    """A text is refused with the line; a page, which browsers show too, has a warning with the number."""
    data = f"{GERMAN}\n".encode() * 4 + b"\xff end"
    with pytest.raises(UnreadableError, match=r"is not UTF-8: byte 0xFF at offset \d+, line 5"):
        decode(data)
    text, warning = decode(data, lenient=True)
    assert text.endswith("\ufffd end")
    assert warning.startswith("1 damaged characters are not UTF-8")
    text, warning = decode((CZECH * 4).encode("cp1250") + b"\x81", "windows-1250")
    assert text == CZECH * 4 + "\ufffd"
    assert warning.startswith("1 damaged")


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (b'<?xml version="1.0" encoding="koi8-r"?><html/>', "koi8-r"),
        (b"<html><head><meta charset=windows-1251>", "windows-1251"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=EUC-KR" />', "EUC-KR"),
        (b"#!/usr/bin/python\n# -*- coding: latin-1 -*-\n", "latin-1"),
        (b"# vim: set fileencoding=cp1252 :\n", "cp1252"),
        (b"<html><head><title>charset</title>", None),
        (b"plain words about coding: none\n", None),
    ],
)
def test_declarations_are_found(data: bytes, declared: str | None) -> None:
    """In XML, HTML and Python."""
    assert declared_encoding(data) == declared


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "latin-1", "shift_jis", "hex", "idna", "\0"]))
def test_any_bytes_are_decoded_or_refused(data: bytes, declared: str | None) -> None:
    """Nothing else is raised, and the text can be stored."""
    for lenient in (False, True):
        try:
            text, _ = decode(data, declared, lenient=lenient)
        except UnreadableError:
            continue
        assert text.encode().decode() == text


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_pages_and_chapters_are_decoded_as_texts_are(encoding: str) -> None:
    """HTML without a declaration, and an EPUB's chapters."""
    page = f"<html><head><title>F\u00e4hre</title></head><body><p>{GERMAN}</p></body></html>"
    with ParserProcess(Limits()) as parser:
        for suffix, data in ((".html", page.encode(encoding)), (".epub", documents.epub([page.encode(encoding)]))):
            (found,) = parser.read(suffix, data)
            assert isinstance(found, ParsedDocument)
            assert GERMAN in found.text
            assert any("guessed" in warning for warning in found.warnings) == (encoding == "cp1252")


def test_an_epub_chapter_declares_its_encoding() -> None:
    """In its XML declaration, without a warning."""
    chapter = f"<?xml version='1.0' encoding='windows-1251'?><html><body><p>{RUSSIAN}</p></body></html>"
    with ParserProcess(Limits()) as parser:
        (found,) = parser.read(".epub", documents.epub([chapter.encode("cp1251")]))
    assert isinstance(found, ParsedDocument)
    assert (RUSSIAN in found.text, found.warnings) == (True, ())
