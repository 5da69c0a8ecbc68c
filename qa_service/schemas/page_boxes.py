"""Boxes of a quote on the pages of a PDF."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from qa_service.datatypes import PageBox


class PageBoxBody(BaseModel):
    """A line of the quote on a page, in points from the upper left corner of the page as it is displayed."""

    page: int = Field(description="The page, from 1.")
    x0: float = Field(description="Left edge.")
    y0: float = Field(description="Upper edge.")
    x1: float = Field(description="Right edge.")
    y1: float = Field(description="Lower edge.")


def box_bodies(boxes: Sequence[PageBox]) -> list[dict[str, float]]:
    """Return boxes in the shape of :class:`PageBoxBody`."""
    return [
        {"page": box.page}
        | {"x0": round(box.x0, 1), "y0": round(box.y0, 1), "x1": round(box.x1, 1), "y1": round(box.y1, 1)}
        for box in boxes
    ]
