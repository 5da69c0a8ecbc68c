"""Bodies of ``POST /v1/embeddings`` and ``POST /v1/rerank``."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from qa_service.schemas.conversation import ModelName

MAX_TEXTS = 2048
_EmbeddedText = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$")]
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _no_token_ids(given: Any) -> Any:
    if isinstance(given, list) and any(isinstance(one, int | list) for one in given):
        raise ValueError(
            "ids of another tokenizer can't be read; send texts (LangChain: check_embedding_ctx_length=False)"
        )
    return given


class EmbeddingsRequest(BaseModel):
    """Texts to embed."""

    model_config = _STRICT | ConfigDict(
        json_schema_extra={"examples": [{"model": "default", "input": ["The treaty was signed in 1953."]}]}
    )

    model: ModelName = Field(description="Name of an embedding model, or of a collection for the model of its index.")
    input: Annotated[
        _EmbeddedText | Annotated[list[_EmbeddedText], Field(min_length=1, max_length=MAX_TEXTS)],
        BeforeValidator(_no_token_ids),
    ] = Field(description="A text, or several. One that is longer than the model's window is refused.")
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="`float` (the default), or `base64` of little-endian 32-bit floats."
    )
    dimensions: int | None = Field(None, ge=1, description="Refused unless it is the model's.")
    input_type: Literal["query", "document"] | None = Field(
        None, description="What the texts are, for models that embed questions in another way. Default: `document`."
    )
    user: Any = Field(None, description="Accepted without effect.")

    def texts(self) -> list[str]:
        """Return the texts."""
        return [self.input] if isinstance(self.input, str) else self.input


class EmbeddingBody(BaseModel):
    """The vector of a text, of length 1."""

    object: Literal["embedding"] = Field(description="The type of this object.")
    index: int = Field(description="Index of the text in `input`, from 0.")
    embedding: list[float] | str = Field(description="The components, or their bytes in base64.")


class TokenUsage(BaseModel):
    """Tokens of the texts; nothing is charged for them."""

    prompt_tokens: int = Field(description="Tokens of all texts.")
    total_tokens: int = Field(description="The same.")


class EmbeddingsBody(BaseModel):
    """The vectors of the texts, in order."""

    object: Literal["list"] = Field(description="The type of this object.")
    model: str = Field(description="Name of the embedding model.")
    data: list[EmbeddingBody] = Field(description="A vector for each text.")
    usage: TokenUsage = Field(description="Numbers of tokens.")


class RerankDocument(BaseModel):
    """A text as an object."""

    model_config = ConfigDict(strict=True)

    text: _EmbeddedText = Field(description="The text. Other members are accepted without effect.")


class RerankRequest(BaseModel):
    """A question, and texts to order by their relevance to it, in the shape of Cohere's and Jina's API."""

    model_config = _STRICT | ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "default",
                    "query": "Who signed the treaty?",
                    "documents": ["Dulles signed the treaty.", "Rain fell in Seoul."],
                }
            ]
        }
    )

    model: ModelName | None = Field(
        None, description="Name of an embedding model or of a collection. Default: `default`."
    )
    query: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")] = Field(
        description="The question, up to 2,000 characters."
    )
    documents: list[_EmbeddedText | RerankDocument] = Field(
        min_length=1, max_length=MAX_TEXTS, description="The texts. The best part of a long one counts."
    )
    top_n: int | None = Field(None, ge=1, description="Number of results. Default: all.")
    return_documents: bool | None = Field(None, description="Whether results hold the texts. Default: false.")
    max_chunks_per_doc: Any = Field(None, description="Accepted without effect: all of a text is read.")
    max_tokens_per_doc: Any = Field(None, description="Accepted without effect: all of a text is read.")
    priority: Any = Field(None, description="Accepted without effect.")

    def texts(self) -> list[str]:
        """Return the texts."""
        return [one if isinstance(one, str) else one.text for one in self.documents]


class RankedText(BaseModel):
    """The text of a result."""

    text: str = Field(description="The text.")


class RankedDocument(BaseModel):
    """A text and its relevance."""

    index: int = Field(description="Index of the text in `documents`, from 0.")
    relevance_score: float = Field(description="0 to 1, higher for a text that is nearer to the question.")
    document: RankedText | None = Field(None, description="The text, if wanted.")


class RerankBody(BaseModel):
    """The texts, most relevant first."""

    id: str = Field(description="Id of the request.")
    object: Literal["list"] = Field(default="list", description="The type of this object.")
    model: str = Field(description="Name of the model.")
    results: list[RankedDocument] = Field(description="The texts, most relevant first.")
    usage: TokenUsage = Field(description="Numbers of tokens, as Jina's clients read them.")
    meta: dict[str, dict[str, str]] = Field(description="The version of the shape, as Cohere's clients read it.")
