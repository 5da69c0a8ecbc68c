"""The collections that are served: the default one and the named ones, each with a live index of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Request

from qa_service.errors import NotFound, NotReady
from qa_service.server.live_index import LiveIndex

PREFIX = "/collections/{collection}"
"""Routes of the default collection stand below this path too, for the named ones."""


def collection_name(
    collection: Annotated[str, Path(description="Name of a collection.", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")],
) -> str:
    """Validate and document the parameter of :data:`PREFIX`."""
    return collection


@dataclass(slots=True)
class Collections:
    """All collections of the service. While ``draining``, it answers requests but reports that it is not ready."""

    default: LiveIndex
    named: Mapping[str, LiveIndex]
    draining: bool = False

    def __iter__(self) -> Iterator[LiveIndex]:
        """Yield the live indexes, the default one first."""
        yield self.default
        yield from self.named.values()

    def of(self, request: Request) -> LiveIndex:
        """Return the live index of the collection in the request's path. Raises :class:`NotFound`."""
        name = request.path_params.get("collection")
        live = self.default if name is None else self.named.get(name)
        if live is None:
            raise NotFound("no collection has this name; GET /collections lists them")
        return live

    def expect_ready(self) -> None:
        """Raise :class:`NotReady` with the reason, unless all collections are ready and the service is not draining."""
        if self.draining:
            raise NotReady("the service is shutting down")
        for live in self:
            live.expect_ready()

    def drain(self) -> None:
        """Report from now on that the service is not ready; it still answers."""
        self.draining = True

    def stop(self, reason: str) -> None:
        """Mark all collections as not ready."""
        for live in self:
            live.ready, live.reason = False, reason
