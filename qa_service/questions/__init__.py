"""Understands a question as people type it, before anything is searched: its wrapping, spelling, synonyms, parts."""

from qa_service.questions.understand import Interpreter

__all__ = ["Interpreter"]
