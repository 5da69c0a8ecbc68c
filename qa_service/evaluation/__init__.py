"""Evaluates an index or a service: asks a question file, measures the answers, writes reports."""

from qa_service.evaluation.evaluate import EvaluationOptions, Target, evaluate
from qa_service.evaluation.question import LineProblem, Question
from qa_service.evaluation.question_file import QuestionFile

__all__ = ["EvaluationOptions", "LineProblem", "Question", "QuestionFile", "Target", "evaluate"]
