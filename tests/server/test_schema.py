"""Generated requests: those that docs/openapi.json allows are answered as described, others are refused."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress

import pytest
from needs import require

require("schemathesis")

import requests
import schemathesis
import schemathesis.specs.openapi.schemas  # before there are threads: Python 3.11 may fail to compile beside one
from conftest import key_for, served
from hypothesis import HealthCheck, Phase, given, reject, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.core.errors import InvalidSchema
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

STRICTER = ("is empty", "should be a valid integer", "must be the permalink", "filters: ")
"""Messages of rules that no schema expresses: visible text, 5.0 is not an integer, own permalinks, known attributes."""
SEED = 20261123


@pytest.fixture
def address(answerer: QuestionAnswerer, settings: Settings) -> Iterator[str]:
    # Writing a traceback parses source, and Python 3.11 fails if two threads parse; Hypothesis does here.
    logging.disable()
    try:
        with served(answerer, settings) as port:
            yield f"http://127.0.0.1:{port}"
    finally:
        logging.disable(logging.NOTSET)


@st.composite
def _generated(draw: st.DrawFn, cases: st.SearchStrategy[schemathesis.Case]) -> schemathesis.Case:
    """Draw a case, or ``None`` if schemathesis can't make one: for nested filters it may find no invalid list."""
    try:
        return draw(cases)
    except InvalidSchema:
        reject()


def _lacks_only_the_key(case: schemathesis.Case) -> bool:
    if case.meta is None or "Authorization" in (case.headers or {}):
        return False
    invalid = {place for place in ParameterLocation if case.meta.is_negative_at(place)}
    return ParameterLocation.HEADER in invalid and invalid <= {ParameterLocation.HEADER, ParameterLocation.QUERY}


def _check(address: str, headers: dict[str, str], cases: int) -> Counter[int]:
    """Send ``cases`` requests, as many of each operation, and return the number of each status.

    Runs all checks of schemathesis: server errors; undocumented statuses, headers and bodies; valid requests that are
    refused, invalid ones that are accepted; keys that are not required; and more.
    """
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    statuses: Counter[int] = Counter()
    session = requests.Session()
    memory = 0
    for number, operation in enumerate(operations):
        if number == 1:  # the first operation loads the libraries that check requests
            memory = _memory()
        for mode in GenerationMode:

            @seed(SEED)
            @hypothesis_settings(
                max_examples=max(2, cases // len(operations) // len(GenerationMode)),
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=_generated(operation.as_strategy(generation_mode=mode)))
            def send(case: schemathesis.Case) -> None:
                response = case.call(headers=headers, session=session)
                statuses[response.status_code] += 1
                stricter = response.status_code in {400, 422} and any(words in response.text for words in STRICTER)
                left_out = [positive_data_acceptance] if stricter else []
                # HTTP limits refuse these; schemathesis does not count the statuses as refusals. A case without a key
                # is sent with one, and an unknown query parameter is ignored.
                refused = response.status_code in {413, 414, 431}
                left_out += [negative_data_rejection] if refused or _lacks_only_the_key(case) else []
                case.validate_response(response, headers=headers, excluded_checks=left_out)

            # An operation without parameters has no invalid requests.
            with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
                send()
    assert _memory() - memory < 100 << 20
    return statuses


def _memory() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_generated_requests_match_the_schema(address: str, settings: Settings) -> None:
    """A few of every operation, with a key for all scopes."""
    statuses = _check(address, key_for(settings, "ask", "feedback", "admin"), 400)
    assert statuses[200] >= 5
    assert not any(status >= 500 and status != 503 for status in statuses)


@pytest.mark.proof
def test_proof_generated_requests_match_the_schema(
    address: str, settings: Settings, record_property: Callable[[str, object], None]
) -> None:
    """More than twenty thousand."""
    statuses = _check(address, key_for(settings, "ask", "feedback", "admin"), 34_000)
    assert sum(statuses.values()) >= 20_000
    counted = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    record_property("figure", f"{sum(statuses.values())} requests of every operation ({counted}), 0 failures")
