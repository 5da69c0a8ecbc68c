"""An answer as a message of a chat: numbered quotes, and the documents in which they stand.

Every word is a quote, a title, a heading, an address or a fixed sentence of the service.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from qa_service.datatypes import Answer, Citation

NOT_FOUND = "Not in these documents."
UNCERTAIN = "This may answer the question:"
NEAREST = "The nearest sections:"
_LINES = re.compile(r"[^\n]+\n*|\n+")


@dataclass(frozen=True, slots=True)
class NumberedQuote:
    """A quote of a message: its offsets without the quotation marks, that of its number, and its source."""

    start: int
    end: int
    number_at: int
    title: str
    url: str
    citation: Citation


@dataclass(frozen=True, slots=True)
class QuotedMessage:
    """The text of a message, and its quotes in order."""

    text: str
    quotes: tuple[NumberedQuote, ...] = ()

    def pieces(self) -> list[str]:
        """Return the text in lines, for a stream."""
        return _LINES.findall(self.text)


def message_of(answer: Answer, link: Callable[[str], str]) -> QuotedMessage:
    """Return an answer as a message; ``link`` completes an address."""
    if answer.is_shown and answer.quotes:
        return _with_quotes(answer, link)
    nearest = [f"- {_title(citation)}: {link(citation.url)}" for citation in answer.nearest_headings]
    paragraphs = [
        NOT_FOUND,
        *([] if answer.reason is None else [answer.reason.message]),
        *(["\n".join([NEAREST, "", *nearest])] if nearest else []),
    ]
    return QuotedMessage("\n\n".join(paragraphs))


def _with_quotes(answer: Answer, link: Callable[[str], str]) -> QuotedMessage:
    text = f"{UNCERTAIN}\n\n" if answer.verdict == "uncertain" else ""
    numbers: dict[int, int] = {}
    quotes = []
    for quote in answer.quotes:
        number = numbers.setdefault(quote.result, len(numbers) + 1)
        result = answer.results[quote.result]
        words = result.scored.passage.text[slice(*quote.place)]
        start = len(text) + 1
        end = start + len(words)
        text += f"“{words}” [{number}]\n\n"
        citation = result.citation
        quotes.append(NumberedQuote(start, end, end + 2, _title(citation), link(citation.url), citation))
    if answer.reason is not None:
        text += f"{answer.reason.message}\n\n"
    sources = [(number, answer.results[result].citation) for result, number in numbers.items()]
    text += "\n".join(f"- [{number}] {_title(citation)}: {link(citation.url)}" for number, citation in sources)
    return QuotedMessage(text, tuple(quotes))


def _title(citation: Citation) -> str:
    """Return title, headings and page of a citation."""
    title = " › ".join(dict.fromkeys((citation.title, *citation.section_path)))
    return title if citation.page is None else f"{title}, page {citation.page}"
