"""The synchronous and the asynchronous client."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

import httpx2
from tenacity import AsyncRetrying, Retrying

from qa_service.client.calls import AskParameters, Call, Calls, options_of, read, retries_of, unreachable
from qa_service.schemas.ask import AskResponse
from qa_service.schemas.batch import BatchResponse
from qa_service.schemas.documents import (
    ListedSource,
    PassagesBody,
    SourceBody,
    StoredDocument,
    VerdictBody,
    VerifyResponse,
)
from qa_service.schemas.service import CollectionsBody, FeedbackResponse, IndexBody, Readiness, StartersBody

Result = TypeVar("Result")
_TROUBLE = (httpx2.HTTPError, httpx2.InvalidURL)


class Client:
    """Calls a service over HTTP.

    Retries while the service is busy, with jitter and respecting ``Retry-After``, for ``patience`` seconds.
    Thread-safe. Methods raise :class:`ServiceError`.
    """

    def __init__(self, url: str, *, key: str = "", collection: str = "", patience: float = 30.0) -> None:
        self.url = url
        self._calls = Calls(collection)
        self._client = httpx2.Client(**options_of(url, key, patience))
        self._retries = retries_of(patience)

    def ask(self, question: str, **options: Unpack[AskParameters]) -> AskResponse:
        """Return the best passages for a question, with citations."""
        return self.send(self._calls.ask(question, options))

    def ask_batch(self, questions: Sequence[str | Mapping[str, Any]]) -> BatchResponse:
        """Ask many questions at once, as texts or ``{"question": …, "top_k": …}``; each gets an answer or an error."""
        return self.send(self._calls.ask_batch(questions))

    def starters(self, limit: int = 8) -> StartersBody:
        """Return questions that the service has proved it can answer."""
        return self.send(self._calls.starters(limit))

    def feedback(
        self, answer_id: str, *, useful: bool, right_passage: str | None = None, note: str = ""
    ) -> FeedbackResponse:
        """Record whether an answer was useful; ``right_passage`` is the permalink of the right citation."""
        return self.send(self._calls.feedback(answer_id, useful=useful, right_passage=right_passage, note=note))

    def sources(self) -> Iterator[ListedSource]:
        """Yield all documents, without their texts."""
        after = ""
        while listed := self.send(self._calls.sources(after=after)).documents:
            yield from listed
            after = listed[-1].document_id

    def source_at(self, uri: str) -> ListedSource | None:
        """Return the document at a path below the source folder, or ``None``."""
        return next(iter(self.send(self._calls.sources(uri=uri)).documents), None)

    def source(self, document_id: str) -> SourceBody:
        """Return a document as it was indexed; all offsets refer to its text."""
        return self.send(self._calls.source(document_id))

    def passages(self, document_id: str) -> PassagesBody:
        """Return the spans of a document's passages, in order."""
        return self.send(self._calls.passages(document_id))

    def cite(self, permalink: str) -> VerdictBody:
        """Return whether the quote of a permalink still stands."""
        return self.send(self._calls.cite(permalink))

    def verify(self, citations: Sequence[Mapping[str, Any]]) -> VerifyResponse:
        """Return whether the quotes of citations, as in answers, still stand."""
        return self.send(self._calls.verify(citations))

    def put_document(
        self, path: str, data: bytes, *, replaces: str | None = None, build: bool = True
    ) -> StoredDocument:
        """Store a file of the source folder; it must have the sha256 ``replaces`` now, if that is given."""
        return self.send(self._calls.put_document(path, data, replaces, build=build))

    def get_document(self, path: str) -> bytes:
        """Return a file of the source folder."""
        return self.send(self._calls.get_document(path))

    def delete_document(self, path: str, *, replaces: str | None = None, build: bool = True) -> None:
        """Delete a file of the source folder; it must have the sha256 ``replaces`` now, if that is given."""
        self.send(self._calls.delete_document(path, replaces, build=build))

    def index(self) -> IndexBody:
        """Return a description of the index."""
        return self.send(self._calls.index())

    def collections(self) -> CollectionsBody:
        """Return the named collections."""
        return self.send(self._calls.collections())

    def ready(self) -> Readiness:
        """Return the state of the service, as soon as it is ready."""
        return self.send(self._calls.ready())

    def send(self, call: Call[Result]) -> Result:
        """Send a request and return the response."""
        for attempt in Retrying(**self._retries):
            with attempt:
                try:
                    response = self._client.request(**call.request())
                except _TROUBLE as error:
                    raise unreachable(self.url, error) from error
                return read(response, call.parse)
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()


class AsyncClient:
    """The asynchronous counterpart of :class:`Client`."""

    def __init__(self, url: str, *, key: str = "", collection: str = "", patience: float = 30.0) -> None:
        self.url = url
        self._calls = Calls(collection)
        self._client = httpx2.AsyncClient(**options_of(url, key, patience))
        self._retries = retries_of(patience)

    async def ask(self, question: str, **options: Unpack[AskParameters]) -> AskResponse:
        """Return the best passages for a question, with citations."""
        return await self.send(self._calls.ask(question, options))

    async def ask_batch(self, questions: Sequence[str | Mapping[str, Any]]) -> BatchResponse:
        """Ask many questions at once, as texts or ``{"question": …, "top_k": …}``; each gets an answer or an error."""
        return await self.send(self._calls.ask_batch(questions))

    async def starters(self, limit: int = 8) -> StartersBody:
        """Return questions that the service has proved it can answer."""
        return await self.send(self._calls.starters(limit))

    async def feedback(
        self, answer_id: str, *, useful: bool, right_passage: str | None = None, note: str = ""
    ) -> FeedbackResponse:
        """Record whether an answer was useful; ``right_passage`` is the permalink of the right citation."""
        return await self.send(self._calls.feedback(answer_id, useful=useful, right_passage=right_passage, note=note))

    async def sources(self) -> AsyncIterator[ListedSource]:
        """Yield all documents, without their texts."""
        after = ""
        while listed := (await self.send(self._calls.sources(after=after))).documents:
            for document in listed:
                yield document
            after = listed[-1].document_id

    async def source_at(self, uri: str) -> ListedSource | None:
        """Return the document at a path below the source folder, or ``None``."""
        return next(iter((await self.send(self._calls.sources(uri=uri))).documents), None)

    async def source(self, document_id: str) -> SourceBody:
        """Return a document as it was indexed; all offsets refer to its text."""
        return await self.send(self._calls.source(document_id))

    async def passages(self, document_id: str) -> PassagesBody:
        """Return the spans of a document's passages, in order."""
        return await self.send(self._calls.passages(document_id))

    async def cite(self, permalink: str) -> VerdictBody:
        """Return whether the quote of a permalink still stands."""
        return await self.send(self._calls.cite(permalink))

    async def verify(self, citations: Sequence[Mapping[str, Any]]) -> VerifyResponse:
        """Return whether the quotes of citations, as in answers, still stand."""
        return await self.send(self._calls.verify(citations))

    async def put_document(
        self, path: str, data: bytes, *, replaces: str | None = None, build: bool = True
    ) -> StoredDocument:
        """Store a file of the source folder; it must have the sha256 ``replaces`` now, if that is given."""
        return await self.send(self._calls.put_document(path, data, replaces, build=build))

    async def get_document(self, path: str) -> bytes:
        """Return a file of the source folder."""
        return await self.send(self._calls.get_document(path))

    async def delete_document(self, path: str, *, replaces: str | None = None, build: bool = True) -> None:
        """Delete a file of the source folder; it must have the sha256 ``replaces`` now, if that is given."""
        await self.send(self._calls.delete_document(path, replaces, build=build))

    async def index(self) -> IndexBody:
        """Return a description of the index."""
        return await self.send(self._calls.index())

    async def collections(self) -> CollectionsBody:
        """Return the named collections."""
        return await self.send(self._calls.collections())

    async def ready(self) -> Readiness:
        """Return the state of the service, as soon as it is ready."""
        return await self.send(self._calls.ready())

    async def send(self, call: Call[Result]) -> Result:
        """Send a request and return the response."""
        async for attempt in AsyncRetrying(**self._retries):
            with attempt:
                try:
                    response = await self._client.request(**call.request())
                except _TROUBLE as error:
                    raise unreachable(self.url, error) from error
                return read(response, call.parse)
        raise AssertionError("the last try returns or raises")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()
