"""The requests of the client, how responses are read, and when a request is retried."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote, urlencode

import httpx2
from pydantic import ValidationError
from tenacity import RetryCallState, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_random_exponential

from qa_service.datatypes import MAX_TURNS
from qa_service.errors import RemoteError
from qa_service.schemas.ask import AskResponse, Problem
from qa_service.schemas.batch import BatchResponse
from qa_service.schemas.documents import (
    PassagesBody,
    SourceBody,
    SourcesBody,
    StoredDocument,
    VerdictBody,
    VerifyResponse,
)
from qa_service.schemas.service import CollectionsBody, FeedbackResponse, IndexBody, Readiness, StartersBody

Result = TypeVar("Result")
PAGE = 1000  # documents
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
_MAX_RETRY_AFTER_SECONDS = 60.0
_jittered = wait_random_exponential(multiplier=0.1, max=5)


class AskParameters(TypedDict, total=False):
    """Optional parameters of a question. ``history`` has earlier questions or answers, oldest first."""

    top_k: int
    min_confidence: float
    min_uncertain: float
    filters: Mapping[str, Any]
    explain: bool
    blocks: bool
    history: Sequence[str | AskResponse]
    as_typed: bool


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """A request, and how the body of its response is read."""

    parse: Callable[[bytes], Result]
    method: str
    path: str
    content: Mapping[str, Any] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(self) -> dict[str, Any]:
        """Return the arguments of the HTTP client's ``request``."""
        kind = "content" if isinstance(self.content, bytes) else "json"
        return {"method": self.method, "url": self.path, kind: self.content, "headers": self.headers}


class ServiceError(RemoteError):
    """The service can't be reached, or responded with an error.

    ``status`` is the HTTP status, ``None`` without a response; ``problem`` is the problem document, if there was one.
    """

    def __init__(self, message: str, status: int | None = None, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


class BusyError(ServiceError):
    """The service is busy or unreachable; worth a retry, after ``seconds`` at the earliest."""

    seconds = 0.0


class Calls:
    """Builds the requests to one collection of a service."""

    def __init__(self, collection: str) -> None:
        self._prefix = f"/collections/{quote(collection, safe='')}" if collection else ""

    def ask(self, question: str, options: AskParameters) -> Call[AskResponse]:
        """Ask a question."""
        flags = {name: "true" for name in ("explain", "blocks") if options.get(name)}
        path = f"{self._prefix}/ask" + (f"?{urlencode(flags)}" if flags else "")
        own = {"explain", "blocks", "history"}
        given = {name: value for name, value in options.items() if value is not None and name not in own}
        if history := options.get("history"):
            given["history"] = [_turn(one) for one in history[-MAX_TURNS:]]
        return Call(AskResponse.model_validate_json, "POST", path, {"question": question, **given})

    def ask_batch(self, questions: Sequence[str | Mapping[str, Any]]) -> Call[BatchResponse]:
        """Ask many questions."""
        return Call(
            BatchResponse.model_validate_json, "POST", f"{self._prefix}/ask/batch", {"questions": list(questions)}
        )

    def starters(self, limit: int) -> Call[StartersBody]:
        """List questions to start with."""
        return Call(StartersBody.model_validate_json, "GET", f"{self._prefix}/starters?limit={limit}")

    def feedback(self, answer_id: str, *, useful: bool, right_passage: str | None, note: str) -> Call[FeedbackResponse]:
        """Record whether an answer was useful."""
        content = {"answer_id": answer_id, "useful": useful, "right_passage": right_passage, "note": note}
        return Call(FeedbackResponse.model_validate_json, "POST", f"{self._prefix}/feedback", content)

    def sources(self, *, uri: str | None = None, after: str = "") -> Call[SourcesBody]:
        """List the document at a path, or the documents with ids after ``after``."""
        query = {"limit": str(PAGE), "after": after} if uri is None else {"uri": uri}
        return Call(SourcesBody.model_validate_json, "GET", f"{self._prefix}/sources?{urlencode(query)}")

    def source(self, document_id: str) -> Call[SourceBody]:
        """Read a document."""
        return Call(SourceBody.model_validate_json, "GET", f"{self._prefix}/sources/{quote(document_id, safe='')}")

    def passages(self, document_id: str) -> Call[PassagesBody]:
        """List the spans of a document's passages."""
        return Call(
            PassagesBody.model_validate_json, "GET", f"{self._prefix}/sources/{quote(document_id, safe='')}/passages"
        )

    def cite(self, permalink: str) -> Call[VerdictBody]:
        """Ask whether a quote still stands."""
        return Call(VerdictBody.model_validate_json, "GET", permalink)

    def verify(self, citations: Sequence[Mapping[str, Any]]) -> Call[VerifyResponse]:
        """Verify citations."""
        return Call(
            VerifyResponse.model_validate_json, "POST", f"{self._prefix}/verify", {"citations": list(citations)}
        )

    def put_document(self, path: str, data: bytes, replaces: str | None, *, build: bool) -> Call[StoredDocument]:
        """Store a file."""
        return Call(StoredDocument.model_validate_json, "PUT", self._file(path, build), data, _if_match(replaces))

    def get_document(self, path: str) -> Call[bytes]:
        """Read a file."""
        return Call(bytes, "GET", self._file(path), headers={"Accept": "*/*"})

    def delete_document(self, path: str, replaces: str | None, *, build: bool) -> Call[None]:
        """Delete a file."""
        return Call(lambda _: None, "DELETE", self._file(path, build), headers=_if_match(replaces))

    def _file(self, path: str, build: bool = True) -> str:  # noqa: FBT001, FBT002
        return f"{self._prefix}/documents/{quote(path)}{'' if build else '?build=false'}"

    def index(self) -> Call[IndexBody]:
        """Describe the index."""
        return Call(IndexBody.model_validate_json, "GET", f"{self._prefix}/index")

    def collections(self) -> Call[CollectionsBody]:
        """List the named collections."""
        return Call(CollectionsBody.model_validate_json, "GET", "/collections")

    def ready(self) -> Call[Readiness]:
        """Ask for the readiness of the service."""
        return Call(Readiness.model_validate_json, "GET", "/readyz")


def _turn(one: str | AskResponse) -> str | dict[str, str]:
    return one if isinstance(one, str) else {"question": one.question, "answer_id": one.id}


def _if_match(sha256: str | None) -> dict[str, str]:
    return {} if sha256 is None else {"If-Match": f'"{sha256}"'}


def options_of(url: str, key: str, patience: float) -> dict[str, Any]:
    """Return the options of the HTTP client."""
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    return {"base_url": url.rstrip("/"), "timeout": max(patience, 1.0), "headers": headers}


def retries_of(patience: float) -> dict[str, Any]:
    """Return the options of retries: with jitter, respecting ``Retry-After``, for ``patience`` seconds."""
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


def read(response: httpx2.Response, parse: Callable[[bytes], Result]) -> Result:
    """Return the parsed body of a response.

    Raises :class:`ServiceError`, or its subclass :class:`BusyError` if a retry may help.
    """
    if response.is_success:
        try:
            return parse(response.content)
        except ValidationError as error:
            raise ServiceError(f"{_host(response)} does not respond like a qa_service", response.status_code) from error
    kind = BusyError if response.status_code in _BUSY else ServiceError
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        failed = kind(f"{_host(response)} answered {response.status_code}", response.status_code)
    else:
        failed = kind(f"{_host(response)} answered {problem.status}: {problem.detail}", problem.status, problem)
    if isinstance(failed, BusyError):
        given = response.headers.get("Retry-After", "")
        failed.seconds = min(float(given), _MAX_RETRY_AFTER_SECONDS) if given.isdecimal() else 0.0
    raise failed


def unreachable(url: str, error: Exception) -> BusyError:
    """Return the error for a service that does not respond at all."""
    return BusyError(f"{url} can't be reached: {error or type(error).__name__}")


def _host(response: httpx2.Response) -> str:
    return f"{response.url.scheme}://{response.url.netloc.decode()}"
