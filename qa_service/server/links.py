"""Addresses of this service that answers give out: below their collection, and signed where asking needs a key."""

from dataclasses import dataclass

from qa_service.server.gate import SIGNATURE
from qa_service.server.keys import KeyFile


@dataclass(frozen=True, slots=True)
class Links:
    """Completes paths such as ``/cite/…``.

    ``prefix`` is the path of the collection. With ``keys`` a path is signed: who was given it may open it without a
    key, as people do who follow a link in a page.
    """

    prefix: str = ""
    keys: KeyFile | None = None

    def own(self, address: str) -> str:
        """Return the whole path of a link of ours; one that leads elsewhere stays as it is."""
        if not address.startswith("/"):
            return address
        address = self.prefix + address
        if self.keys is None:
            return address
        rest, hash_sign, fragment = address.partition("#")
        path, question_mark, query = rest.partition("?")
        signed = f"{path}?{query}{'&' if question_mark else ''}{SIGNATURE}={self.keys.signature(path)}"
        return f"{signed}{hash_sign}{fragment}"
