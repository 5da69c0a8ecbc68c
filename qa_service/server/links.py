"""Addresses of this service in its responses: below their collection, and signed where asking needs a key."""

from dataclasses import dataclass

from starlette.types import Scope

from qa_service.server.gate import GRANT, SIGNATURE
from qa_service.server.keys import Grant, KeyFile

PATH_PREFIX = "qa_path_prefix"
"""In the scope of a request: the path under which a proxy publishes this service, such as ``/docs-qa``; or empty."""


@dataclass(frozen=True, slots=True)
class Links:
    """Completes paths such as ``/cite/…`` in one response.

    ``collection`` is the path of the collection. With ``keys`` and a ``grant`` a link is signed: it opens without a
    key, as people need who follow a link in a page, until the grant ends. The signature is of the path as routes have
    it; the link begins with ``path_prefix``.
    """

    collection: str = ""
    keys: KeyFile | None = None
    grant: Grant | None = None
    path_prefix: str = ""

    @classmethod
    def of(cls, scope: Scope, collection: str = "") -> "Links":
        """Return the links for the response to a request that the gate admitted."""
        return cls(collection, scope["app"].state.gate.keys, scope.get(GRANT), scope.get(PATH_PREFIX, ""))

    def own(self, address: str) -> str:
        """Return the whole path of a link of ours; one that leads elsewhere stays as it is."""
        if not address.startswith("/"):
            return address
        return self.path_prefix + self._signed(self.collection + address)

    def _signed(self, address: str) -> str:
        if self.keys is None or self.grant is None:
            return address
        address, hash_sign, fragment = address.partition("#")
        separator = "&" if "?" in address else "?"
        return f"{address}{separator}{SIGNATURE}={self.keys.signature(address, self.grant)}{hash_sign}{fragment}"
