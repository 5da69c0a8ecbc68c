"""The report on recorded questions."""

from pydantic import BaseModel, Field


class DayCount(BaseModel):
    """Questions of a day, by verdict."""

    day: str = Field(description="The day in UTC, in ISO 8601.")
    questions: int = Field(description="Questions of the day.")
    answered: int = Field(description="Those that were answered.")
    uncertain: int = Field(description="Those with an uncertain answer.")
    not_found: int = Field(description="Those for which nothing was found.")


class PeriodCount(BaseModel):
    """Questions of a period, by verdict, with feedback and durations."""

    questions: int = Field(description="Questions of the period.")
    answered: int = Field(description="Those that were answered.")
    uncertain: int = Field(description="Those with an uncertain answer.")
    not_found: int = Field(description="Those for which nothing was found.")
    useful: int = Field(description="Answers that were marked useful.")
    useless: int = Field(description="Answers that were marked useless.")
    median_ms: float | None = Field(description="Median of the duration, to the millisecond; null without questions.")
    p95_ms: float | None = Field(
        description="Duration that 95 % of the answers did not exceed; null without questions."
    )


class TopQuestion(BaseModel):
    """A question that was asked often. Case, spaces and punctuation make no other question."""

    question: str = Field(description="The question, as it was asked last.")
    count: int = Field(description="How often it was asked.")
    verdict: str = Field(description="Its last verdict: `answered`, `uncertain`, `not_found` or `unknown`.")


class GapHeading(BaseModel):
    """A section near a gap: a place to add what is missing."""

    title: str = Field(description="Title of the document.")
    uri: str = Field(description="Path of the document below the source folder.")
    section_path: list[str] = Field(description="Headings of the section, outermost first; empty without headings.")


class Gap(BaseModel):
    """Similar questions that the documents do not answer, or not with certainty."""

    question: str = Field(description="The most central of the questions.")
    questions: list[str] = Field(description="Up to ten of the questions, the most frequent first.")
    count: int = Field(description="How often one of them was asked without an answer.")
    nearest_headings: list[GapHeading] = Field(
        description="Up to three sections of the current index, the nearest first; empty if none is near, or after a "
        "change of the model."
    )


class DocumentFeedback(BaseModel):
    """A document, with the feedback on answers that quote it."""

    uri: str = Field(description="Path of the document below the source folder.")
    questions: int = Field(description="Answers that quote it.")
    useful: int = Field(description="Those that were marked useful.")
    useless: int = Field(description="Those that were marked useless.")


class NeverCited(BaseModel):
    """Files of the current index that no answer of the period quotes."""

    count: int = Field(description="Number of these files.")
    files: int = Field(description="Number of all files of the index.")
    uris: list[str] = Field(description="Up to 200 of these files, by path.")


class OwnerReport(BaseModel):
    """The recorded questions of a period and a collection."""

    collection: str = Field(description="Name of the collection; empty for the default one.")
    collections: list[str] = Field(description="Collections with questions in the period; empty for the default one.")
    since: str = Field(description="Begin of the period, in ISO 8601.")
    until: str = Field(description="End of the period, in ISO 8601.")
    days: int = Field(description="Length of the period.")
    texts: bool = Field(description="Whether texts were recorded; without them there are no questions and no gaps.")
    period: PeriodCount = Field(description="The period.")
    before: PeriodCount | None = Field(description="The period of the same length before it; null without questions.")
    by_day: list[DayCount] = Field(description="The days of the period, the first one first.")
    top_questions: list[TopQuestion] = Field(description="Up to 20 questions, the most frequent first.")
    gaps: list[Gap] = Field(description="Up to 50 gaps, the most frequent first. A question answered since is no gap.")
    disliked_documents: list[DocumentFeedback] = Field(
        description="Up to 50 documents with useless answers, those with the most first."
    )
    never_cited: NeverCited | None = Field(description="Files that no answer quotes; null if the index can't be read.")
