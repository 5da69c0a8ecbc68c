"""Links in responses: below their collection, and signed if the service needs keys."""

from dataclasses import dataclass

from starlette.types import Scope

from qa_service.server.gate import GRANT, SIGNATURE
from qa_service.server.keys import Grant, KeyFile

PATH_PREFIX = "qa_path_prefix"
"""In the scope of a request: the path below which a proxy publishes the service, such as ``/docs-qa``; or empty."""


@dataclass(frozen=True, slots=True)
class Links:
    """Completes paths such as ``/cite/…`` in one response.

    ``collection`` is the path of the collection. With ``keys`` and a ``grant`` a link is signed: until the grant
    expires it opens without a key, for people who follow it in a page. The signature covers the path without
    ``path_prefix``, as routes see it.
    """

    collection: str = ""
    keys: KeyFile | None = None
    grant: Grant | None = None
    path_prefix: str = ""

    @classmethod
    def of(cls, scope: Scope, collection: str = "") -> "Links":
        """Return the links of a response, given the scope of a request that the gate admitted."""
        return cls(collection, scope["app"].state.gate.keys, scope.get(GRANT), scope.get(PATH_PREFIX, ""))

    def own(self, address: str) -> str:
        """Return the complete path of a link of this service; return any other link unchanged."""
        if not address.startswith("/"):
            return address
        return self.path_prefix + self._signed(self.collection + address)

    def _signed(self, address: str) -> str:
        if self.keys is None or self.grant is None:
            return address
        address, hash_sign, fragment = address.partition("#")
        separator = "&" if "?" in address else "?"
        return f"{address}{separator}{SIGNATURE}={self.keys.signature(address, self.grant)}{hash_sign}{fragment}"
