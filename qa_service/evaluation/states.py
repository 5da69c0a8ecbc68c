"""The state of a question: what a person got, in two words."""

from typing import Any

from qa_service.evaluation.measures import SERVED, WRONGLY_ANSWERED, WRONGLY_REFUSED

CLASSES = {
    "served": "good",
    "retrieved": "good",
    "rightly refused": "good",
    "uncertain": "quiet",
    "not judged": "quiet",
    "wrongly answered": "bad",
    "wrongly refused": "bad",
    "not retrieved": "bad",
}
"""The states of a question, with their classes on the page."""


def state_of(result: dict[str, Any]) -> str:
    """Return what a person got by an entry of ``results.jsonl``, as a key of ``CLASSES``."""
    got, measured = result["got"], result["measures"]
    named = ((SERVED, "served"), (WRONGLY_ANSWERED, "wrongly answered"), (WRONGLY_REFUSED, "wrongly refused"))
    for measure, state in named:
        if measured.get(measure):
            return state
    if not result["answerable"]:
        return "uncertain" if got["quotes"] else "rightly refused"
    if got["quotes"] and SERVED in measured:
        return "uncertain"
    if not result["relevant"]:
        return "not judged"
    return "retrieved" if got["right_in_five"] else "not retrieved"
