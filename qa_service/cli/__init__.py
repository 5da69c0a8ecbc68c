"""The command line; the only place that prints and exits."""

from qa_service.cli import (
    archive_commands,
    ask_commands,
    comparison_commands,
    demo_command,
    evaluation_commands,
    feedback_commands,
    fetch_command,
    index_commands,
    key_commands,
    mcp_command,
    pin_command,
    report_command,
    serve_command,
    settings_commands,
)
from qa_service.cli.group import cli, main

__all__ = [
    "archive_commands",
    "ask_commands",
    "cli",
    "comparison_commands",
    "demo_command",
    "evaluation_commands",
    "feedback_commands",
    "fetch_command",
    "index_commands",
    "key_commands",
    "main",
    "mcp_command",
    "pin_command",
    "report_command",
    "serve_command",
    "settings_commands",
]
