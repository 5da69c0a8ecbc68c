"""All settings, with their defaults, bounds and descriptions.

Defaults and descriptions stand in this folder alone: docs/settings.md and the help of the command line are made from
them. A setting that changes an index, or the answers from one, says so in its ``json_schema_extra``.
"""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from qa_service.settings.index_fields import IndexFields
from qa_service.settings.server_fields import ServerFields
from qa_service.settings.values import CHANGES_ANSWERS, Names

PREFIX = "QA_"
FILE = Path(".env")
QUESTION_STEPS = ("wrapping", "spelling", "synonyms", "follow_ups", "parts")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class AnswerFields(BaseModel):
    """The settings of ranking and answers."""

    rerank: str = Field(
        "maxsim",
        min_length=1,
        description="`maxsim` (late interaction), `none`, or the folder of a sentence-transformers CrossEncoder.",
        json_schema_extra=CHANGES_ANSWERS,
    )
    lexical_weight: float = Field(
        0.4,
        ge=0,
        le=0.95,
        description="Largest weight of BM25 in the ranking; it is less if no passage holds most of a question's words. "
        "Vectors and token vectors share the rest.",
        json_schema_extra=CHANGES_ANSWERS,
    )
    max_per_document: int = Field(
        0,
        ge=0,
        le=50,
        description="Maximum results from one document; 0 means no limit.",
        json_schema_extra=CHANGES_ANSWERS,
    )
    top_k: int = Field(5, ge=1, le=50, description="Number of results, unless the question asks for another.")
    reader: Literal["quick", "careful", "off"] = Field(
        "quick",
        description="The reader, a second small model: `quick` reads the best sentence of the first results, `careful` "
        "of more results, and with the sentences around it. It needs the built-in embedding model.",
        json_schema_extra=CHANGES_ANSWERS,
    )
    min_confidence: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Confidence from which a question counts as answered.",
        json_schema_extra=CHANGES_ANSWERS,
    )
    min_uncertain: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Confidence from which the best quote is given as an uncertain answer; below, nothing was found.",
        json_schema_extra=CHANGES_ANSWERS,
    )
    question_steps: Names = Field(
        QUESTION_STEPS,
        description="Steps of understanding a question that are taken, of `" + "`, `".join(QUESTION_STEPS) + "`; "
        "`none` takes no step.",
        json_schema_extra=CHANGES_ANSWERS,
    )
    published: str = Field(
        "",
        pattern=r"^(https?://[^\s{}]+(\{path\}[^\s{}]*)?)?$",
        description="Address where the source folder is published; links to web pages and PDF files point there. With "
        "`{path}` for a file's path without its ending, as in `https://docs.example.org/{path}/`, so do links to pages "
        "that a site generator makes from Markdown and the like.",
        json_schema_extra=CHANGES_ANSWERS,
    )

    @field_validator("question_steps")
    @classmethod
    def _are_steps(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        if steps == ("none",):
            return ()
        if unknown := [step for step in steps if step not in QUESTION_STEPS]:
            raise ValueError(f"{unknown[0]!r} is not a step; use some of {', '.join(QUESTION_STEPS)}, or none")
        return steps


class Settings(ServerFields, AnswerFields, IndexFields, BaseSettings):
    """All settings, immutable. Create it with ``load_settings``, which reports errors in one line."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_file=FILE,
        env_file_encoding="utf-8-sig",
        dotenv_filtering="match_prefix",  # a .env may serve other programs too
        enable_decoding=False,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _are_plain_numbers(cls, value: object, info: ValidationInfo) -> object:
        """Reject numbers that only Python accepts: ``1_000``, ``1e3``, ``5 ``, non-ASCII digits."""
        number = info.field_name is not None and cls.model_fields[info.field_name].annotation in {int, float}
        if number and isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise ValueError("write a plain decimal number without a unit; the name of the setting gives the unit")
        return value

    def by_collection(self) -> dict[str, "Settings"]:
        """Return the settings of each named collection, which differ in source, index and Milvus prefix."""
        found = {}
        for text in self.collections:
            name, _, folder = text.partition("=")
            own = {"source": Path(folder) if folder else self.source / name, "index": self.index / "collections" / name}
            # Names have no capital letters, and Milvus accepts no hyphens.
            shared = f"{self.milvus_prefix}_{name.replace('-', 'H')}"
            found[name] = self.model_copy(update={**own, "milvus_prefix": shared, "collections": ()})
        return found


def default_of(name: str) -> Any:
    """Return the default of a setting."""
    return Settings.model_fields[name].default


def settings_that_change(what: Literal["index", "answers"]) -> tuple[str, ...]:
    """Return the names of the settings that change an index, or the answers from one."""
    return tuple(name for name, field in Settings.model_fields.items() if field.json_schema_extra == {"changes": what})
