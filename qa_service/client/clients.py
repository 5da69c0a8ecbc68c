"""The clients: one that waits, one to be awaited."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

import httpx2
from pydantic import BaseModel
from tenacity import AsyncRetrying, Retrying

from qa_service.client.calls import AskParameters, Call, Calls, options_of, read, retries_of, unreachable
from qa_service.schemas.ask import AskResponse, BatchResponse
from qa_service.schemas.documents import ListedSource, PassagesBody, SourceBody, VerdictBody, VerifyResponse
from qa_service.schemas.service import CollectionsBody, FeedbackResponse, IndexBody, Readiness

Body = TypeVar("Body", bound=BaseModel)
_TROUBLE = (httpx2.HTTPError, httpx2.InvalidURL)


class Client:
    """Asks a service over HTTP.

    A busy one is asked again, with jitter and no sooner than it says, for ``patience`` seconds. May be used by several
    threads. Methods raise :class:`ServiceError`.
    """

    def __init__(self, url: str, *, key: str = "", collection: str = "", patience: float = 30.0) -> None:
        self.url = url
        self._calls = Calls(collection)
        self._client = httpx2.Client(**options_of(url, key, patience))
        self._retries = retries_of(patience)

    def ask(self, question: str, **options: Unpack[AskParameters]) -> AskResponse:
        """Return the passages that answer a question best, with citations."""
        return self.send(self._calls.ask(question, options))

    def ask_batch(self, questions: Sequence[str | Mapping[str, Any]]) -> BatchResponse:
        """Ask many questions at once, texts or ``{"question": …, "top_k": …}``; each gets its answer or its error."""
        return self.send(self._calls.ask_batch(questions))

    def feedback(
        self, answer_id: str, *, useful: bool, right_passage: str | None = None, note: str = ""
    ) -> FeedbackResponse:
        """Say whether an answer was useful; ``right_passage`` is the permalink of the citation that would have been."""
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
        """Return a document as it was indexed: the text that all offsets count in."""
        return self.send(self._calls.source(document_id))

    def passages(self, document_id: str) -> PassagesBody:
        """Return where the passages of a document stand, in order."""
        return self.send(self._calls.passages(document_id))

    def cite(self, permalink: str) -> VerdictBody:
        """Tell what became of the quote that a permalink names."""
        return self.send(self._calls.cite(permalink))

    def verify(self, citations: Sequence[Mapping[str, Any]]) -> VerifyResponse:
        """Tell of citations, as answers have them, whether their quotes still stand."""
        return self.send(self._calls.verify(citations))

    def index(self) -> IndexBody:
        """Return what is indexed."""
        return self.send(self._calls.index())

    def collections(self) -> CollectionsBody:
        """Return the collections that have names."""
        return self.send(self._calls.collections())

    def ready(self) -> Readiness:
        """Return the state of the service, once it can be asked."""
        return self.send(self._calls.ready())

    def send(self, call: Call[Body]) -> Body:
        """Return what a request is answered with."""
        for attempt in Retrying(**self._retries):
            with attempt:
                try:
                    response = self._client.request(call.method, call.path, json=call.content)
                except _TROUBLE as error:
                    raise unreachable(self.url, error) from error
                return read(response, call.body)
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
    """As :class:`Client`, to be awaited."""

    def __init__(self, url: str, *, key: str = "", collection: str = "", patience: float = 30.0) -> None:
        self.url = url
        self._calls = Calls(collection)
        self._client = httpx2.AsyncClient(**options_of(url, key, patience))
        self._retries = retries_of(patience)

    async def ask(self, question: str, **options: Unpack[AskParameters]) -> AskResponse:
        """Return the passages that answer a question best, with citations."""
        return await self.send(self._calls.ask(question, options))

    async def ask_batch(self, questions: Sequence[str | Mapping[str, Any]]) -> BatchResponse:
        """Ask many questions at once, texts or ``{"question": …, "top_k": …}``; each gets its answer or its error."""
        return await self.send(self._calls.ask_batch(questions))

    async def feedback(
        self, answer_id: str, *, useful: bool, right_passage: str | None = None, note: str = ""
    ) -> FeedbackResponse:
        """Say whether an answer was useful; ``right_passage`` is the permalink of the citation that would have been."""
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
        """Return a document as it was indexed: the text that all offsets count in."""
        return await self.send(self._calls.source(document_id))

    async def passages(self, document_id: str) -> PassagesBody:
        """Return where the passages of a document stand, in order."""
        return await self.send(self._calls.passages(document_id))

    async def cite(self, permalink: str) -> VerdictBody:
        """Tell what became of the quote that a permalink names."""
        return await self.send(self._calls.cite(permalink))

    async def verify(self, citations: Sequence[Mapping[str, Any]]) -> VerifyResponse:
        """Tell of citations, as answers have them, whether their quotes still stand."""
        return await self.send(self._calls.verify(citations))

    async def index(self) -> IndexBody:
        """Return what is indexed."""
        return await self.send(self._calls.index())

    async def collections(self) -> CollectionsBody:
        """Return the collections that have names."""
        return await self.send(self._calls.collections())

    async def ready(self) -> Readiness:
        """Return the state of the service, once it can be asked."""
        return await self.send(self._calls.ready())

    async def send(self, call: Call[Body]) -> Body:
        """Return what a request is answered with."""
        async for attempt in AsyncRetrying(**self._retries):
            with attempt:
                try:
                    response = await self._client.request(call.method, call.path, json=call.content)
                except _TROUBLE as error:
                    raise unreachable(self.url, error) from error
                return read(response, call.body)
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
