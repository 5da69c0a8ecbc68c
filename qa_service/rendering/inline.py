"""Inline Markdown -> runs, by the rules of markdown-it-py.

The library gives tokens no offsets. Its state knows where it stands whenever a rule adds a token or text, so a state
that notes this is enough: a token begins where the state stood, and its content is in the source word for word.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from qa_service.datatypes import Mark, Run

_MATH = re.compile(
    r"\$\$[^$]{1,2000}\$\$|\$(?![\s$])(?:[^$\\]|\\[^\n]){0,300}(?<![\s\\])\$(?![\d$])"
    r"|\\\([^\n]{1,300}?\\\)|\\\[.{1,300}?\\\]",
    re.DOTALL,
)
_BREAK = re.compile(r"<br\b", re.IGNORECASE)
_ALT = re.compile(r"<img\b[^>]*?\balt=(?:\"([^\"]+)\"|'([^']+)')", re.IGNORECASE)
_OPENING: dict[str, Mark] = {"strong_open": "strong", "em_open": "emphasis", "s_open": "strike"}
_CLOSING: dict[str, Mark] = {"strong_close": "strong", "em_close": "emphasis", "s_close": "strike"}


class _State(StateInline):
    """Notes in ``token.meta["at"]`` where the source of a token begins."""

    _pending_at: int | None = None

    def append_pending(self, text: str) -> None:
        if self._pending_at is None:
            self._pending_at = self.pos
        super().append_pending(text)

    def pushPending(self) -> Token:  # noqa: N802 - the library's name
        token = super().pushPending()
        token.meta["at"] = self._pending_at
        self._pending_at = None
        return token

    def push(self, ttype: str, tag: str, nesting: Literal[-1, 0, 1]) -> Token:
        token = super().push(ttype, tag, nesting)
        self._pending_at = None
        token.meta["at"] = self.pos
        before = self.tokens[-2] if len(self.tokens) > 1 else None
        if ttype == "text" and before is not None:
            if before.type == "link_open" and before.info == "auto":  # behind the bracket of <https://…>
                token.meta["at"] = self.pos + 1
            elif before.type == "text" and before.meta["at"] >= self.pos:  # delimiters come one by one
                token.meta["at"] = before.meta["at"] + len(before.content)
        return token


class _Parser(ParserInline):
    def parse(self, src: str, md: MarkdownIt, env: Any, tokens: list[Token]) -> list[Token]:
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def _math(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the library's interface
    """Parse a formula, whose stars and underscores are not emphasis."""
    if state.src[state.pos] not in "$\\":
        return False
    match = _MATH.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("math", "", 0).content = match[0]
    state.pos = match.end()
    return True


def _is_link(url: str) -> bool:  # noqa: ARG001 - the library's interface
    """Accept every target: none is shown, and none can be followed."""
    return True


def _parser() -> MarkdownIt:
    markdown = MarkdownIt("commonmark")
    markdown.inline = _Parser()
    markdown.inline.ruler.enableOnly([rule for rule in markdown.inline.ruler.get_all_rules() if rule != "linkify"])
    markdown.inline.ruler2.disable("fragments_join")
    markdown.inline.ruler.before("escape", "math", _math)
    markdown.validateLink = _is_link  # type: ignore[method-assign]
    return markdown


_markdown = _parser()


@dataclass(frozen=True, slots=True)
class Break:
    """The end of a line that the author wants to end there."""


Piece = Run | Break


def inline_pieces(content: str, references: dict[str, Any]) -> Iterator[Piece]:
    """Yield the runs of a text with inline markup, in offsets of ``content``, and the breaks between them."""
    tokens = _markdown.inline.parse(content, _markdown, {"references": references}, [])
    yield from _pieces(tokens, content, 0, [])


def _pieces(tokens: Sequence[Token], content: str, base: int, marks: list[Mark]) -> Iterator[Piece]:
    """Yield the pieces of tokens whose source begins at ``base``."""
    for token in tokens:
        at = base + token.meta.get("at", 0)
        if token.type in _OPENING:
            marks.append(_OPENING[token.type])
        elif token.type in _CLOSING:
            if _CLOSING[token.type] in marks:
                marks.remove(_CLOSING[token.type])
        elif token.type == "hardbreak":
            yield Break()
        elif token.type == "image":
            children = _pieces(token.children or (), content, at + len("!["), [*marks, "image"])
            yield from (piece for piece in children if isinstance(piece, Run))
        elif token.type == "html_inline":
            yield from _tag(token.content, at, marks)
        else:
            start, end, own = _shown(token, content, at)
            if start < end:
                yield Run(start, end, tuple(dict.fromkeys([*marks, *own])))


def _tag(tag: str, at: int, marks: Sequence[Mark]) -> Iterator[Piece]:
    if _BREAK.match(tag):
        yield Break()
    elif match := _ALT.match(tag):
        start, end = match.span(match.lastindex or 0)
        yield Run(at + start, at + end, (*marks, "image"))


def _shown(token: Token, content: str, at: int) -> tuple[int, int, tuple[Mark, ...]]:
    """Return the span of a token's text in ``content``, and its own mark."""
    length = len(token.content)
    if token.type == "text":
        is_address = content[at - 1 : at] == "<" and content[at : at + length] != token.content
        return at, content.index(">", at) if is_address else at + length, ()
    if token.type == "softbreak":
        return at, at + 1, ()
    if token.type == "code_inline":
        at += len(token.markup)
        at += content[at : at + length].replace("\n", " ") != token.content  # a space beside the backticks
        return at, at + length, ("code",)
    if token.type == "math":
        return at, at + length, ("math",)
    if token.type == "text_special":
        return _special(token, at)
    return at, at, ()


def _special(token: Token, at: int) -> tuple[int, int, tuple[Mark, ...]]:
    """Return the span of an escaped character without its backslash. An entity stands as it is written, but ``&``."""
    whole = len(token.markup)
    if token.info == "escape" and token.content != token.markup:
        return at + 1, at + whole, ()
    return at, at + (1 if token.content == "&" else whole), ()
