"""Secrets in questions are masked, and ordinary questions stay as they are."""

import pytest

from qa_service.text.secrets import mask

KEY = "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.mark.parametrize(
    ("question", "masked"),
    [
        ("Why is jane.doe+x@mail.example.org locked?", "Why is [e-mail] locked?"),
        (f"Is {KEY} valid?", "Is [secret] valid?"),
        ("ghp_" + "a1" * 18 + " fails", "[secret] fails"),
        ("key sk_live_abcdefgh12345678", "key [secret]"),
        ("Authorization: Bearer abc.def-123", "Authorization: [secret]"),
        ("password: hunter2 is refused", "password: [secret] is refused"),
        ("API_KEY=abc", "API_KEY=[secret]"),
        ("git clone https://me:pw@example.org/x", "git clone https://[secret]@example.org/x"),
        ("-----BEGIN RSA PRIVATE KEY----- MIIE x -----END RSA PRIVATE KEY----- why?", "[secret] why?"),
        ("-----BEGIN PRIVATE KEY----- MIIE", "[secret]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "[secret]"),
        ("session 6f1c2f0e-8a51-4f3e-9a0b-0123456789ab ended", "session [secret] ended"),
        ("d41d8cd98f00b204e9800998ecf8427e", "[secret]"),
        ("Call +1 (555) 0123-4567 now", "Call +[number] now"),
        ("card 4111 1111 1111 1111", "card [number]"),
        ("account DE89 3704 0044 0532 0130 00", "account [number]"),
        ("customer 12345678", "customer [number]"),
    ],
)
def test_secrets_are_masked(question: str, masked: str) -> None:
    """Each is replaced by its kind; the words around it stay."""
    assert mask(question) == masked


@pytest.mark.parametrize(
    "question",
    [
        "Who signed the treaty between 1950-06-25 and 1953-07-27?",
        "How many of the 28,500 soldiers left in 2018/2019?",
        "What does docs/decisions/0027-owner.md say about text2vec_large_model_v2?",
        "My password is wrong, what now?",
        "Donaudampfschifffahrtsgesellschaftskapitän?",
        "반갑습니다 — 조약은 언제 서명되었습니까?",
    ],
)
def test_ordinary_questions_stay(question: str) -> None:
    """Years, dates, amounts, paths and long words are no secrets."""
    assert mask(question) == question
