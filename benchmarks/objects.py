"""Time reading the tokens of 50 candidates from rows of a Milvus server and from ranges of an object.

    python benchmarks/objects.py SOURCE QUESTION_FILE --uri http://127.0.0.1:19530 --work FOLDER [--prefix exact]

FOLDER and the server are those that ``shared.py`` filled. The object is one file with the tokens of all passages, read
through fsspec, with concurrent requests, from a server on this machine that supports ranges. A response comes at once
or after a first-byte latency: object stores need 10 to 200 ms. Both are asked alternately for the same candidates.
"""

import argparse
import asyncio
import socket
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from common import setup

import fsspec
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qa_service.embedding.choose import embedder_to_ask
from qa_service.evaluation import Question, QuestionFile
from qa_service.index.locations import generations_of
from qa_service.index.milvus.rows import TOKENS
from qa_service.pipeline import open_answerer
from qa_service.settings import load_settings

_CANDIDATES, _QUESTIONS = 50, 100
_FIRST_BYTE_MS = (0, 10, 50)


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--prefix", default="exact")
    arguments = parser.parse_args()
    settings = load_settings(
        source=arguments.source, index=arguments.work / "index", store="milvus", milvus_uri=arguments.uri
    )
    settings = settings.model_copy(update={"milvus_prefix": arguments.prefix})
    embedder = embedder_to_ask(settings)
    local, _ = open_answerer(settings.model_copy(update={"store": "faiss"}), embedder)
    remote, _ = open_answerer(settings, embedder, generations_of(settings))
    tokens = local.index.tokens
    starts = tokens.starts * (tokens.codes.shape[1] + 6)  # each code has a norm of 2 bytes and an id of 4
    address = serve(int(starts[-1]))
    files = fsspec.filesystem("http")
    questions = [item.question for item in QuestionFile(arguments.questions) if isinstance(item, Question)]
    candidates = [
        local.index.find(local.question_cache.embed([question])[0].vector, None, _CANDIDATES, None)[0]
        for question in questions[:_QUESTIONS]
    ]
    ways: dict[str, Callable[[np.ndarray], object]] = {
        "rows of the store": lambda numbers: remote.index.store.rows(numbers, [TOKENS])
    }
    for milliseconds in _FIRST_BYTE_MS:
        url = f"{address}/{milliseconds}"
        ways[f"ranges of an object, first byte after {milliseconds} ms"] = lambda numbers, url=url: files.cat_ranges(
            [url] * len(numbers), starts[numbers].tolist(), starts[numbers + 1].tolist()
        )
    times: dict[str, list[float]] = {name: [] for name in ways}
    for numbers in candidates:
        for name, read in ways.items():
            started = time.perf_counter()
            assert len(read(numbers)) == len(numbers)
            times[name].append(1000 * (time.perf_counter() - started))
    print(setup())
    print(f"{len(local.index)} passages, {_CANDIDATES} candidates, {len(candidates)} questions, {starts[-1]} bytes")
    for name, values in times.items():
        print(f"{name}: p50 {statistics.median(values):.1f} ms, p99 {np.percentile(values, 99):.1f} ms")


def serve(size: int) -> str:
    """Serve bytes by ranges in a thread of this process; return the address."""
    data = bytes(size)

    async def ranged(request: Request) -> Response:
        await asyncio.sleep(int(request.path_params["milliseconds"]) / 1000)
        first, _, last = request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        end = int(last) + 1 if last else size
        content = f"bytes {first}-{end - 1}/{size}"
        return Response(data[int(first) : end], 206, {"content-range": content, "accept-ranges": "bytes"})

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/{milliseconds:int}", ranged)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


if __name__ == "__main__":
    main()
