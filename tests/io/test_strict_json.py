"""Strict JSON: texts that the standard library accepts against RFC 8259 are refused without being quoted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.io import strict_json

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(JSON_VALUES)
def test_json_is_read_as_the_standard_library_reads_it(value: object) -> None:
    """Valid documents are parsed as by the standard library."""
    assert strict_json.loads(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"secret": 1, "secret": 2}', "an object has a duplicate key"),
        (b'"\xff\xfe secret"', "not UTF-8 at byte 1"),
        (b'\xef\xbb\xbf"secret"', "byte order mark"),
        ('"secret"'.encode("utf-16"), "not UTF-8"),
        (b"{secret: 1}", "not JSON"),
        (b'"secret \x00"', "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "too many digits"),
        (b'{"secret": NaN}', "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"", "not JSON"),
    ],
)
def test_invalid_json_is_refused_without_quoting_it(data: bytes, reason: str) -> None:
    """The error gives the reason."""
    with pytest.raises(ValueError, match=reason) as caught:
        strict_json.loads(data)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 100


def test_nan_and_infinity_are_accepted_on_request() -> None:
    """NaN is then a float."""
    assert strict_json.loads("[Infinity]", allow_constants=True) == [float("inf")]
