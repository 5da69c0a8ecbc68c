"""HTTP: ``create_app`` puts routes, limits and the error table around a QuestionAnswerer."""

from qa_service.api.app import create_app

__all__ = ["create_app"]
