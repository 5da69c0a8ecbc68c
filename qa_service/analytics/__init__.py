"""The owner's view: a record of the questions that were asked, and the report on it."""

from qa_service.analytics.file import RECORD
from qa_service.analytics.recorder import QuestionRecorder

__all__ = ["RECORD", "QuestionRecorder"]
