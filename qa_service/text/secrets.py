"""Secrets and personal data in texts: credentials that documents should not hold, and what is masked in a question."""

import re

SECRET = re.compile(
    r"(?P<aws>\bAKIA[0-9A-Z]{16}\b)|(?P<private>-----BEGIN [A-Z ]*PRIVATE KEY-----)|(?P<github>\bgh[pousr]_\w{36}\b)"
)
"""Credentials that are certain by their form, for warnings about documents."""

# A text is masked in this order. It is a question of at most 2,000 characters, so that no pattern can take long.
_MASKS = (
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        "[secret]",
    ),
    (re.compile(r"(?<=://)[^\s/@]{1,200}@"), "[secret]@"),  # user and password of an address
    (re.compile(r"\b(?:bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), "[secret]"),
    (
        re.compile(
            r"\b(pass(?:word|wd|phrase|wort)|pwd|secret|token|api[ _-]?key|access[ _-]?key)(\s*[:=]\s*)\S+",
            re.IGNORECASE,
        ),
        r"\1\2[secret]",
    ),
    (re.compile(r"[\w.%+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), "[e-mail]"),
    (SECRET, "[secret]"),
    (re.compile(r"\b(?:[srp]k|xox[a-z]|gh[pousr]|glpat|hf|npm|pypi)[_-][\w-]{12,}"), "[secret]"),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]+){1,4}"), "[secret]"),  # a JSON Web Token
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "[secret]"),
    (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"), "[number]"),  # of a bank account
    # Random letters and digits, as of keys; a long word has no digit.
    (re.compile(r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{20,}\b"), "[secret]"),
    # Numbers of telephones, cards and accounts; dates and years are shorter.
    (re.compile(r"(?<!\d)(?:\d{7,}|\d(?:[ ./()-]{0,2}\d){8,})"), "[number]"),
)


def mask(text: str) -> str:
    """Return a question with credentials, e-mail addresses and long numbers replaced by their kind in brackets.

    Patterns can't find every secret: a password without a word before it looks like any other word.
    """
    for pattern, kind in _MASKS:
        text = pattern.sub(kind, text)
    return text
