"""Questions of several parts: "When was it signed, and who signed it?"."""

import re

_WORDS = r"(?:who|whom|whose|what|when|where|which|why|how)\b"
_VERBS = r"(?:is|are|was|were|do|does|did|can|could|will|has|have|had)"
_SUBJECTS = r"(?:(?:it|he|she|they|there|the|this|that|these|those|an?|any|its|his|her|their)\b|(?-i:[A-Z]))"
_BETWEEN = re.compile(
    r"\?\s+(?:and\s+|also\s+)?(?=\w)"
    rf"|[,;]?\s+(?:and|&)\s+(?=(?:(?:in|on|by|at|for|since|from)\s+)?{_WORDS}|{_VERBS}\s+{_SUBJECTS})",
    re.IGNORECASE,
)
"""A verb begins a question only if its subject follows: "… and is still open" goes on with the first one."""
_JOINED = re.compile(rf"\b(?:{_WORDS}|{_VERBS})\Z", re.IGNORECASE)
"""A first part does not end so: "When and where was it?" is one question."""
_MIN_WORDS = 2
MAX_PARTS = 4


def parts_of(question: str) -> tuple[str, ...]:
    """Return the parts of a question, up to ``MAX_PARTS``; none if it is one question."""
    parts: list[str] = []
    start = 0
    for found in _BETWEEN.finditer(question):
        part, rest = question[start : found.start()], question[found.end() :]
        long = all(len(text.split()) >= _MIN_WORDS for text in (part, rest))
        if long and not _JOINED.search(part) and len(parts) + 1 < MAX_PARTS:
            parts.append(part)
            start = found.end()
    return (*parts, question[start:]) if parts else ()
