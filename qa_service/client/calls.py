"""The requests that there are, how their answers are read, and when one is worth another try."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote, urlencode

import httpx2
from pydantic import BaseModel, ValidationError
from tenacity import RetryCallState, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_random_exponential

from qa_service.errors import RemoteError
from qa_service.schemas.ask import AskResponse, BatchResponse, Problem
from qa_service.schemas.documents import PassagesBody, SourceBody, SourcesBody, VerdictBody, VerifyResponse
from qa_service.schemas.service import CollectionsBody, FeedbackResponse, IndexBody, Readiness

Body = TypeVar("Body", bound=BaseModel)
PAGE = 1000
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
_LONGEST_WAIT = 60.0
_jittered = wait_random_exponential(multiplier=0.1, max=5)


class AskParameters(TypedDict, total=False):
    """What may go with a question."""

    top_k: int
    min_confidence: float
    filters: Mapping[str, Any]
    explain: bool


@dataclass(frozen=True, slots=True)
class Call(Generic[Body]):
    """A request, and what its answer is."""

    body: type[Body]
    method: str
    path: str
    content: Mapping[str, Any] | None = None


class ServiceError(RemoteError):
    """The service can't be reached, or answered with an error.

    ``status`` is that of the answer, ``None`` if there was none; ``problem`` what it said, if it said it as it should.
    """

    def __init__(self, message: str, status: int | None = None, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


class BusyError(ServiceError):
    """Worth another try, after some seconds at least."""

    seconds = 0.0


class Calls:
    """Makes the requests to one collection of a service."""

    def __init__(self, collection: str) -> None:
        self._prefix = f"/collections/{quote(collection, safe='')}" if collection else ""

    def ask(self, question: str, options: AskParameters) -> Call[AskResponse]:
        """Ask a question."""
        path = f"{self._prefix}/ask" + ("?explain=true" if options.get("explain") else "")
        given = {name: value for name, value in options.items() if value is not None and name != "explain"}
        return Call(AskResponse, "POST", path, {"question": question, **given})

    def ask_batch(self, questions: Sequence[str | Mapping[str, Any]]) -> Call[BatchResponse]:
        """Ask many questions."""
        return Call(BatchResponse, "POST", f"{self._prefix}/ask/batch", {"questions": list(questions)})

    def feedback(self, answer_id: str, *, useful: bool, right_passage: str | None, note: str) -> Call[FeedbackResponse]:
        """Say whether an answer was useful."""
        content = {"answer_id": answer_id, "useful": useful, "right_passage": right_passage, "note": note}
        return Call(FeedbackResponse, "POST", f"{self._prefix}/feedback", content)

    def sources(self, *, uri: str | None = None, after: str = "") -> Call[SourcesBody]:
        """List documents: the one at a path, or those whose ids come after one."""
        query = {"limit": str(PAGE), "after": after} if uri is None else {"uri": uri}
        return Call(SourcesBody, "GET", f"{self._prefix}/sources?{urlencode(query)}")

    def source(self, document_id: str) -> Call[SourceBody]:
        """Read a document."""
        return Call(SourceBody, "GET", f"{self._prefix}/sources/{quote(document_id, safe='')}")

    def passages(self, document_id: str) -> Call[PassagesBody]:
        """Ask where the passages of a document stand."""
        return Call(PassagesBody, "GET", f"{self._prefix}/sources/{quote(document_id, safe='')}/passages")

    def cite(self, permalink: str) -> Call[VerdictBody]:
        """Ask what became of a quote."""
        return Call(VerdictBody, "GET", permalink)

    def verify(self, citations: Sequence[Mapping[str, Any]]) -> Call[VerifyResponse]:
        """Check citations."""
        return Call(VerifyResponse, "POST", f"{self._prefix}/verify", {"citations": list(citations)})

    def index(self) -> Call[IndexBody]:
        """Ask what is indexed."""
        return Call(IndexBody, "GET", f"{self._prefix}/index")

    def collections(self) -> Call[CollectionsBody]:
        """Ask for the collections that have names."""
        return Call(CollectionsBody, "GET", "/collections")

    def ready(self) -> Call[Readiness]:
        """Ask for the state of the service."""
        return Call(Readiness, "GET", "/readyz")


def options_of(url: str, key: str, patience: float) -> dict[str, Any]:
    """Return how the HTTP client is to be set up."""
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    return {"base_url": url.rstrip("/"), "timeout": max(patience, 1.0), "headers": headers}


def retries_of(patience: float) -> dict[str, Any]:
    """Return how busy services are asked again: with jitter, no sooner than they say, for so many seconds."""
    return {
        "retry": retry_if_exception_type(BusyError),
        "wait": _wait,
        "stop": stop_after_delay(patience),
        "reraise": True,
    }


def _wait(state: RetryCallState) -> float:
    error = None if state.outcome is None else state.outcome.exception()
    named = error.seconds if isinstance(error, BusyError) else 0.0
    return named + float(_jittered(state))


def read(response: httpx2.Response, body: type[Body]) -> Body:
    """Return what a response holds. Raises :class:`ServiceError`, :class:`BusyError` where another try may help."""
    if response.is_success:
        try:
            return body.model_validate_json(response.content)
        except ValidationError as error:
            raise ServiceError(
                f"{_host(response)} does not answer as this service does", response.status_code
            ) from error
    kind = BusyError if response.status_code in _BUSY else ServiceError
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        failed = kind(f"{_host(response)} answered {response.status_code}", response.status_code)
    else:
        failed = kind(f"{_host(response)} answered {problem.status}: {problem.detail}", problem.status, problem)
    if isinstance(failed, BusyError):
        given = response.headers.get("Retry-After", "")
        failed.seconds = min(float(given), _LONGEST_WAIT) if given.isdecimal() else 0.0
    raise failed


def unreachable(url: str, error: Exception) -> BusyError:
    """Return the error for a service that does not answer at all."""
    return BusyError(f"{url} can't be reached: {error or type(error).__name__}")


def _host(response: httpx2.Response) -> str:
    return f"{response.url.scheme}://{response.url.netloc.decode()}"
