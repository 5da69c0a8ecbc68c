"""PDF -> text, by PDFium: what a person sees on the pages, in reading order.

Characters become segments (``characters``), with the values of forms and notes (``annotations``). Titles and numbers
that run through the pages are set aside (``running_titles``); segments become lines, columns and rows of tables
(``layout``, ``tables``); lines become paragraphs and headings (``writing``, ``joining``).
"""

from qa_service.loading.pdf.reader import read_pdf

__all__ = ["read_pdf"]
