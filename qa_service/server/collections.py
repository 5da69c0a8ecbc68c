"""What is served: the default collection, and others by name, each an index of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Path, Request

from qa_service.errors import NotFound, NotReady
from qa_service.server.live_index import Serving

PREFIX = "/collections/{collection}"


class Mounting(Protocol):
    """Where a set of routes stands, and what it serves there."""

    @property
    def prefix(self) -> str:
        """The beginning of the routes' paths."""

    @property
    def dependencies(self) -> Sequence[Any]:
        """What the framework is to look at in all of them."""

    def id(self, operation: str) -> str:
        """Return the operation id of a route here."""

    def of(self, request: Request) -> Serving:
        """Return what a request is to be answered from. Raises :class:`NotFound`."""


@dataclass(frozen=True, slots=True)
class DefaultCollection:
    """The routes without a prefix."""

    serving: Serving
    prefix: str = ""
    dependencies: Sequence[Any] = ()

    def id(self, operation: str) -> str:
        """Return the operation id of a route here."""
        return operation

    def of(self, request: Request) -> Serving:  # noqa: ARG002 - there is one
        """Return what is served."""
        return self.serving


def _named(
    collection: Annotated[str, Path(description="Name of a collection.", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")],
) -> str:
    return collection


@dataclass(frozen=True, slots=True)
class NamedCollections:
    """The routes below ``/collections/{collection}``."""

    named: Mapping[str, Serving]
    prefix: str = PREFIX
    dependencies: Sequence[Any] = (Depends(_named),)

    def id(self, operation: str) -> str:
        """Return the operation id of a route here."""
        return f"collection_{operation}"

    def of(self, request: Request) -> Serving:
        """Return what is served under the name in the path. Raises :class:`NotFound`."""
        serving = self.named.get(request.path_params["collection"])
        if serving is None:
            raise NotFound("no collection of that name; GET /collections names them")
        return serving


@dataclass(slots=True)
class Collections:
    """All that is served. While it is ``draining``, it still answers, but says that it is not ready for more."""

    default: Serving
    named: Mapping[str, Serving]
    draining: bool = False

    def __iter__(self) -> Iterator[Serving]:
        """Yield each, the default first."""
        yield self.default
        yield from self.named.values()

    def expect_ready(self) -> None:
        """Raise :class:`NotReady` with the reason, unless all can be asked and will be for some time."""
        if self.draining:
            raise NotReady("the service is shutting down")
        for serving in self:
            serving.expect_ready()

    def drain(self) -> None:
        """Say from now on that the service is not ready, though it answers."""
        self.draining = True

    def stop(self, reason: str) -> None:
        """Be ready no more."""
        for serving in self:
            serving.ready, serving.reason = False, reason

    def mountings(self) -> Iterator[Mounting]:
        """Yield the places where routes stand."""
        yield DefaultCollection(self.default)
        yield NamedCollections(self.named)
