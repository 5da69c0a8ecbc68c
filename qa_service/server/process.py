"""The listening socket and the server processes around the application."""

import errno
import gc
import logging
import multiprocessing
import os
import signal
import socket
import stat
import threading
from contextlib import suppress
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from qa_service.embedding import Embedder
from qa_service.embedding.choose import Say, embedder_to_ask
from qa_service.errors import ServerStartError, SettingsError
from qa_service.index.locations import generations_of
from qa_service.pipeline import QuestionAnswerer, open_answerer
from qa_service.server.app import create_app
from qa_service.server.connections import connection_limits, raise_file_limit
from qa_service.server.live_index import ServableIndex
from qa_service.server.logs import start_logging
from qa_service.server.middleware.observing import check_traces
from qa_service.server.protocol import GuardedProtocol
from qa_service.settings import Settings, load_settings
from qa_service.settings.server_fields import UNIX

_logger = logging.getLogger(__name__)
_GRACE_SECONDS = 30
"""Time for running requests when the server stops, beyond the deadline of a question."""


def bound_socket(host: str, port: int) -> socket.socket:
    """Bind the port, or a Unix socket, before the model is loaded, so that one in use is reported at once."""
    if host.startswith(UNIX):
        return _bound_unix_socket(host.removeprefix(UNIX))
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise SettingsError(f"host {host!r} is not an address of this machine: {error.strerror}; see --host") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ServerStartError(
            f"can't listen on {host} port {port}: {error.strerror}; choose another with --port"
        ) from error
    return listener


def _bound_unix_socket(path: str) -> socket.socket:
    """Bind a socket that its owner and group may open; one that a killed server left behind is replaced."""
    listener, mask = socket.socket(socket.AF_UNIX), os.umask(0o117)
    try:
        with suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
            if stat.S_ISSOCK(os.stat(path).st_mode) and probe.connect_ex(path) == errno.ECONNREFUSED:
                os.unlink(path)
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise ServerStartError(
            f"can't listen on {path}: {error.strerror or error}; choose another with --host {UNIX}/path"
        ) from error
    finally:
        os.umask(mask)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address of a listening socket, as people write it."""
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def close_listener(listener: socket.socket, host: str) -> None:
    """Close the socket that is bound to ``host``, if the server has not; remove it if it is a file."""
    listener.close()
    if host.startswith(UNIX):
        with suppress(OSError):
            os.unlink(host.removeprefix(UNIX))


def served_app() -> FastAPI:
    """Return the application of one of several server processes, with settings from the environment."""
    settings = load_settings()
    start_logging(settings)
    threading.Thread(target=_stop_with_the_supervisor, daemon=True).start()
    app, _ = open_app(settings)
    _freeze_startup_objects()
    return app


def open_app(settings: Settings, say: Say = _logger.info) -> tuple[FastAPI, QuestionAnswerer]:
    """Open the indexes that the settings name; return the application and the default collection's answerer."""
    check_traces(settings)
    embedder = embedder_to_ask(settings, say)
    default = _open(settings, embedder)
    named = {name: _open(own, embedder) for name, own in settings.by_collection().items()}
    return create_app(settings, default, named), default.answerer


def _open(settings: Settings, embedder: Embedder) -> ServableIndex:
    generations = generations_of(settings)
    answerer, degraded = open_answerer(settings, embedder, generations)
    return ServableIndex(answerer, generations, degraded, lambda: open_answerer(settings, embedder, generations))


def run_server(app: FastAPI, listener: socket.socket, settings: Settings) -> None:
    """Serve until a stop signal; finish the running requests."""
    _freeze_startup_objects()
    raise_file_limit()
    uvicorn.Server(uvicorn.Config(app, **_options(settings))).run(sockets=[listener])


def run_workers(listener: socket.socket, settings: Settings) -> None:
    """Serve with several processes on one socket, each with settings from the environment. Replace dead ones."""
    raise_file_limit()
    config = uvicorn.Config(
        "qa_service.server.process:served_app", factory=True, workers=settings.workers, **_options(settings)
    )
    Multiprocess(config, [listener]).run()


def _stop_with_the_supervisor() -> None:
    """Stop this worker when its parent process is gone; otherwise it would keep the port."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _freeze_startup_objects() -> None:
    """Freeze start-up objects so that the garbage collector skips them.

    Otherwise, under load, it pauses all answers for some 60 ms every few seconds.
    """
    gc.collect()
    gc.freeze()


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "log_level": "warning",
        "server_header": False,
        "http": GuardedProtocol,
        "ws": "none",
        "proxy_headers": False,  # see middleware/proxy.py
        "forwarded_allow_ips": list(settings.trusted_proxies),  # exempt from the limit of connections per client
        "backlog": connection_limits().backlog,
        "timeout_graceful_shutdown": int(settings.drain_seconds + settings.deadline_seconds + _GRACE_SECONDS),
    }
