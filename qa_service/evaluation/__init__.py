"""Question file -> the same ask -> run -> measures -> reports."""

from qa_service.evaluation.evaluate import Plan, Target, evaluate
from qa_service.evaluation.question_file import QuestionFile
from qa_service.evaluation.questions import LineProblem, Question

__all__ = ["LineProblem", "Plan", "Question", "QuestionFile", "Target", "evaluate"]
