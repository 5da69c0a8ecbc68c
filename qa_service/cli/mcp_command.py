"""The command that serves the Model Context Protocol over standard input and output."""

import asyncio
from typing import Any

from qa_service.cli.group import answerer_of, ask_with_one_thread, cli, settings_to_ask
from qa_service.cli.options import examples, options
from qa_service.errors import SettingsError


@cli.command(epilog=examples("mcp", "mcp --source ~/handbook"))
@options("source", "index", "model", "collection")
def mcp(**overrides: Any) -> int:
    """Serve the documents as tools for a language model, over stdin and stdout (MCP)."""
    ask_with_one_thread()
    try:
        from qa_service.server.mcp import Tools  # noqa: PLC0415 - an extra, and seconds of import
    except ImportError as error:
        raise SettingsError("the MCP library is missing; run pip install 'qa-service[mcp]'") from error
    from qa_service.index.locations import generations_of  # noqa: PLC0415
    from qa_service.server.live_index import LiveIndex, ServableIndex  # noqa: PLC0415
    from qa_service.server.worker import Worker  # noqa: PLC0415

    settings = settings_to_ask(overrides)
    answerer, degraded = answerer_of(settings)
    worker = Worker(queue_limit=settings.queue_limit, deadline_seconds=settings.deadline_seconds)
    live = LiveIndex(ServableIndex(answerer, generations_of(settings), degraded), worker)

    async def run() -> None:
        await live.start()
        await Tools(live, {}).serve_stdio()

    try:
        asyncio.run(run())
    finally:
        worker.close()
        answerer.index.close()
    return 0
