"""The routes ``POST /v1/embeddings`` and ``POST /v1/rerank``: an index's model for texts of the client."""

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from qa_service.datatypes import FloatArray
from qa_service.embedding import Embedder
from qa_service.errors import InvalidRequest
from qa_service.pipeline import QuestionAnswerer
from qa_service.retrieval import relevance
from qa_service.schemas.embeddings import EmbeddingsBody, EmbeddingsRequest, RerankBody, RerankRequest
from qa_service.server.collections import Collections
from qa_service.server.gate import Access, Gate
from qa_service.server.middleware.problems import request_id_of
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.models import embedding_collection
from qa_service.server.routes.responses import problems
from qa_service.server.routes.vector_stores import DEFAULT
from qa_service.text.cleaning import check_question

_BY_KEY = Access("ask", collection_parameter="", counts_as_one=False)
_STEP = 16
"""Texts of a request that are embedded before other requests get their turn."""


def embedding_routes(collections: Collections, gate: Gate) -> APIRouter:
    """Return the routes of embeddings and of reranking; every text counts as a question."""
    router = APIRouter(route_class=guarded(_BY_KEY), tags=["questions"])

    @router.post(
        "/v1/embeddings",
        operation_id="embeddings",
        summary="Embed texts",
        responses={200: {"model": EmbeddingsBody}, **problems(400, 404, 413, 415, 422, 503, 504, "default")},
        response_model=None,
    )
    async def embeddings(body: EmbeddingsRequest, request: Request) -> Response:
        """Return the vectors of texts by the model of an index."""
        live = embedding_collection(collections, request.scope, body.model)
        live.expect_ready()
        texts = body.texts()
        await gate.count(request.scope, len(texts))
        vectors: list[FloatArray] = []
        tokens = 0
        with live.lease() as answerer:
            embedder = answerer.embedder
            if body.dimensions not in {None, embedder.dimension}:
                raise InvalidRequest(f"dimensions: this model's vectors have {embedder.dimension}; leave it out")
            for start in range(0, len(texts), _STEP):
                step = texts[start : start + _STEP]
                own, counted = await live.worker.run(
                    partial(_embedded, embedder, step, start, as_query=body.input_type == "query")
                )
                vectors += own
                tokens += counted
        as_text = body.encoding_format == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _base64(vector) if as_text else vector}
            for index, vector in enumerate(vectors)
        ]
        found = {"object": "list", "model": embedder.identity.name, "data": data, "usage": _usage(tokens)}
        return Response(orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    @router.post("/v2/rerank", include_in_schema=False, response_model_exclude_none=True)
    @router.post(
        "/v1/rerank",
        operation_id="rerank",
        summary="Order texts by relevance",
        responses=problems(400, 404, 413, 415, 422, 503, 504, "default"),
        response_model_exclude_none=True,
    )
    async def rerank(body: RerankRequest, request: Request) -> RerankBody:
        """Order texts of the client by their relevance to a question. Scores of different questions are comparable.

        `POST /v2/rerank` is the same.
        """
        live = embedding_collection(collections, request.scope, body.model or DEFAULT)
        live.expect_ready()
        texts = body.texts()
        await gate.count(request.scope, len(texts))
        scores: list[float] = []
        tokens = 0
        with live.lease() as answerer:
            for start in range(0, len(texts), _STEP):
                step = texts[start : start + _STEP]
                own, counted = await live.worker.run(partial(_relevance, answerer, body.query, step))
                scores += own
                tokens += counted
        order = sorted(range(len(texts)), key=lambda index: (-scores[index], index))[: body.top_n]
        results = [
            {
                "index": index,
                "relevance_score": round(scores[index], 4),
                "document": {"text": texts[index]} if body.return_documents else None,
            }
            for index in order
        ]
        about = {
            "id": request_id_of(request),
            "model": live.manifest.model.name,
            "meta": {"api_version": {"version": "2"}},
        }
        return RerankBody.model_validate({**about, "results": results, "usage": _usage(tokens)})

    return router


def _embedded(embedder: Embedder, texts: Sequence[str], first: int, *, as_query: bool) -> tuple[list[FloatArray], int]:
    """Return the vectors of texts, and the number of their tokens. ``first`` is the index of the first text."""
    counts = embedder.count_tokens(texts)
    for index, tokens in enumerate(counts, first):
        if tokens > embedder.window:
            raise InvalidRequest(
                f"input: text {index} has {tokens} tokens, the model reads {embedder.window}; send shorter texts"
            )
    if as_query:
        return [one.vector for one in embedder.embed_questions(texts)], sum(counts)
    return list(embedder.embed_passages(texts).vectors), sum(counts)


def _relevance(answerer: QuestionAnswerer, query: str, texts: Sequence[str]) -> tuple[list[float], int]:
    check_question(query)
    embedder = answerer.embedder
    (embedding,) = answerer.question_cache.embed([query])
    scores = relevance(embedder, answerer.retriever.reranker, query, embedding, texts)
    return scores, sum(embedder.count_tokens(texts))


def _base64(vector: FloatArray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _usage(tokens: int) -> dict[str, Any]:
    return {"prompt_tokens": tokens, "total_tokens": tokens}
