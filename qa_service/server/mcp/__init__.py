"""Model Context Protocol: tools and resources for language models, over HTTP or standard input and output."""

from qa_service.server.mcp.serving import Tools

__all__ = ["Tools"]
