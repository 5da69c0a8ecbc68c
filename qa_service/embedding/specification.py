"""The specification of an exported model, a file beside its graph."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from qa_service.embedding.interface import ModelIdentity
from qa_service.io import strict_json


@dataclass(frozen=True, slots=True)
class Specification:
    """The properties of an exported model, and the hashes of its files."""

    identity: ModelIdentity
    precision: str
    recipe: int
    dimension: int
    window: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    question_prompt: str
    passage_prompt: str
    sha256: dict[str, str]
    """The sha256 of each file, by name."""

    def to_bytes(self) -> bytes:
        """Return the specification as JSON, with its own sha256."""
        content = asdict(self)
        return (json.dumps({"sha256": _digest(content), "specification": content}, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Specification":
        """Parse the result of :meth:`to_bytes`. Raises ``ValueError`` or ``KeyError`` if any byte differs."""
        content = strict_json.loads(data)
        if content["sha256"] != _digest(content["specification"]):
            raise ValueError("its sha256 is not that of its content")
        return TypeAdapter(cls).validate_python(content["specification"])


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
