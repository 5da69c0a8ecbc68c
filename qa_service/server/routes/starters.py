"""The route of the questions to start with."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from qa_service.evaluation.starters import MAX_STARTERS
from qa_service.schemas.service import StartersBody
from qa_service.server.collections import Collections
from qa_service.server.gate import ASK
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems


def starter_routes(collections: Collections) -> APIRouter:
    """Return the route of ``GET /starters``."""
    router = APIRouter(route_class=guarded(ASK), tags=["questions"])

    @router.get("/starters", summary="List questions to start with", responses=problems(422, 503, "default"))
    async def starters(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MAX_STARTERS, description="Largest number of questions.")] = 8,
    ) -> StartersBody:
        """Return questions that the index answers.

        They come from the file `QA_STARTERS` and, if `QA_STARTERS_FROM_FEEDBACK` allows it, from feedback. The service
        asks each when an index is opened, and offers only those with the verdict `answered` and, if the file has
        gold, the right quote.
        """
        live = collections.of(request)
        live.expect_ready()
        generation, proved = live.manifest.generation, live.starters
        current = proved.generation == generation
        return StartersBody(
            index_version=generation,
            questions=[question.text for question in proved.questions[:limit]] if current else [],
            complete=current and proved.complete,
        )

    return router
