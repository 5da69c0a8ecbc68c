"""Bodies of the response of ``POST /ask/batch``."""

from pydantic import BaseModel, Field

from qa_service.schemas.ask import AskResponse, Problem


class BatchItem(BaseModel):
    """An answer or a problem."""

    status: int = Field(description="The status that ``POST /ask`` would have had.")
    answer: AskResponse | None = Field(description="The answer; null if there is a problem.")
    problem: Problem | None = Field(description="The problem; null if there is an answer.")


class BatchResponse(BaseModel):
    """The result of each question, in order."""

    results: list[BatchItem] = Field(description="An answer or a problem for each question.")
    took_ms: float = Field(description="Time to answer all questions, in milliseconds.")
