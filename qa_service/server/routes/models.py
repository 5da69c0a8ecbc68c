"""Models below ``/v1``: a collection answers in chats, and the model of its index embeds."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.types import Scope

from qa_service.errors import Forbidden, NotFound
from qa_service.index import Manifest
from qa_service.schemas.vector_stores import ModelBody, ModelPage
from qa_service.server.collections import Collections
from qa_service.server.gate import KEY_COLLECTIONS, Access
from qa_service.server.live_index import LiveIndex
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems
from qa_service.server.routes.vector_stores import DEFAULT

_ModelName = Annotated[str, Path(description="Name of a collection, `default`, or the name of an embedding model.")]
BY_KEY = Access("ask", collection_parameter="")


def model_routes(collections: Collections) -> APIRouter:
    """Return the routes that list models."""
    router = APIRouter(route_class=guarded(BY_KEY), prefix="/v1", tags=["documents"])

    @router.get("/models", operation_id="models", summary="List models", responses=problems("default"))
    async def models(request: Request) -> ModelPage:
        """List the collections, which answer in chats, and the models of their indexes, which embed."""
        found = _models(own_collections(collections, request.scope))
        return ModelPage.of(list(found.values()), len(found))

    @router.get(
        "/models/{model:path}", operation_id="model", summary="Read a model", responses=problems(403, 404, "default")
    )
    async def model(model: _ModelName, request: Request) -> ModelBody:
        """Return a collection, or the model of an index, as a model."""
        found = _models(own_collections(collections, request.scope)).get(model)
        if found is None:
            raise _unknown_model(request.scope)
        return found

    return router


def own_collections(collections: Collections, scope: Scope) -> dict[str, LiveIndex]:
    """Return the collections that a request may use, ordered by name."""
    every = {DEFAULT: collections.default, **collections.named}
    allowed = scope[KEY_COLLECTIONS] or every
    return {name: every[name] for name in sorted(every) if name in allowed}


def answering_collection(collections: Collections, scope: Scope, model: str) -> LiveIndex:
    """Return the collection that a model names. Raises :class:`NotFound` or :class:`Forbidden`."""
    live = own_collections(collections, scope).get(model)
    if live is None:
        raise _unknown_model(scope)
    return live


def embedding_collection(collections: Collections, scope: Scope, model: str) -> LiveIndex:
    """Return the collection of a name, or the first one with a model. Raises as :func:`answering_collection` does."""
    own = own_collections(collections, scope)
    by_model = (live for live in own.values() if live.manifest.model.name == model)
    live = own.get(model) or next(by_model, None)
    if live is None:
        raise _unknown_model(scope)
    return live


def _unknown_model(scope: Scope) -> NotFound | Forbidden:
    if scope[KEY_COLLECTIONS]:
        return Forbidden("this key has no model of this name; GET /v1/models lists its models")
    return NotFound("no model has this name; a collection answers, its index's model embeds; see GET /v1/models")


def _models(own: dict[str, LiveIndex]) -> dict[str, ModelBody]:
    found = {name: _model(name, live.manifest) for name, live in own.items()}
    for live in own.values():
        name = live.manifest.model.name
        found.setdefault(name, _model(name, live.manifest))
    return found


def _model(name: str, manifest: Manifest) -> ModelBody:
    return ModelBody(id=name, created=int(datetime.fromisoformat(manifest.created_at).timestamp()))
