"""The pinned answers of a generation, with the vectors of their questions."""

import base64
import json
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from qa_service.datatypes import FloatArray, Pin

PINS = "pins.json"
"""The file of a generation that has pinned answers; the others have none."""


@dataclass(frozen=True, slots=True)
class Pins:
    """Pinned answers, and the unit vectors (n, d) of all their questions, in order."""

    pins: tuple[Pin, ...] = ()
    vectors: FloatArray = field(default_factory=lambda: np.empty((0, 0), np.float32), repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> "Pins":
        """Return the pins from the result of :meth:`dump`. Raises ``ValueError`` or ``KeyError`` for other texts."""
        content = json.loads(text)
        pins = tuple(
            Pin(
                tuple(pin["questions"]),
                pin["document_id"],
                tuple((number, (start, end)) for number, start, end in pin["parts"]),
            )
            for pin in content["pins"]
        )
        questions = sum(len(pin.questions) for pin in pins)
        data = np.frombuffer(base64.b64decode(content["vectors"]), np.dtype("<f4"))
        return cls(pins, data.astype(np.float32).reshape(questions, -1))

    def dump(self) -> str:
        """Return the pins as JSON."""
        pins = [
            {
                "questions": pin.questions,
                "document_id": pin.document_id,
                "parts": [[number, start, end] for number, (start, end) in pin.parts],
            }
            for pin in self.pins
        ]
        vectors = base64.b64encode(self.vectors.astype(np.dtype("<f4")).tobytes()).decode("ascii")
        return json.dumps({"pins": pins, "vectors": vectors}, ensure_ascii=False)

    @property
    def questions(self) -> tuple[str, ...]:
        """All questions, in the order of their vectors."""
        return tuple(chain.from_iterable(pin.questions for pin in self.pins))

    def __len__(self) -> int:
        """Return the number of pins."""
        return len(self.pins)


NO_PINS = Pins()
