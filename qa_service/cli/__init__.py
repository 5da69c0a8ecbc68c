"""The command line: puts the parts together; the only place that prints and exits."""

from qa_service.cli import commands, comparison, evaluation, feedback, keys, mcp
from qa_service.cli.group import cli, main

__all__ = ["cli", "commands", "comparison", "evaluation", "feedback", "keys", "main", "mcp"]
