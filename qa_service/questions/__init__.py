"""Understands a question as people type it, before anything is searched: its wrapping, spelling, synonyms, parts."""

from qa_service.questions.understand import AS_TYPED_STEPS, Interpreter

__all__ = ["AS_TYPED_STEPS", "Interpreter"]
