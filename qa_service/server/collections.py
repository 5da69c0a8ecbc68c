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
    """All that is served. While it is ``draining``, it still answers, but says that it is not ready for more."""

    default: LiveIndex
    named: Mapping[str, LiveIndex]
    draining: bool = False

    def __iter__(self) -> Iterator[LiveIndex]:
        """Yield each, the default first."""
        yield self.default
        yield from self.named.values()

    def of(self, request: Request) -> LiveIndex:
        """Return the live index of the collection in the request's path. Raises :class:`NotFound`."""
        name = request.path_params.get("collection")
        live = self.default if name is None else self.named.get(name)
        if live is None:
            raise NotFound("no collection of that name; GET /collections names them")
        return live

    def expect_ready(self) -> None:
        """Raise :class:`NotReady` with the reason, unless all can be asked and will be for some time."""
        if self.draining:
            raise NotReady("the service is shutting down")
        for live in self:
            live.expect_ready()

    def drain(self) -> None:
        """Say from now on that the service is not ready, though it answers."""
        self.draining = True

    def stop(self, reason: str) -> None:
        """Be ready no more."""
        for live in self:
            live.ready, live.reason = False, reason
