"""Question file -> the same ask -> run -> measures -> report."""

from qa_service.evaluation.questions import Question, QuestionFile
from qa_service.evaluation.report import Report, evaluate

__all__ = ["Question", "QuestionFile", "Report", "evaluate"]
