"""The socket and the server process around the application."""

import socket

import uvicorn
from fastapi import FastAPI

from qa_service.errors import ServerStartError, SettingsError


def bound_socket(host: str, port: int) -> socket.socket:
    """Take the port before the model is loaded, so that a port in use is told at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise SettingsError(f"host {host!r} is no address of this machine: {error.strerror}; see --host") from error
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


def run_server(app: FastAPI, listener: socket.socket) -> None:
    """Serve until a signal says stop; requests that were taken are finished."""
    config = uvicorn.Config(app, log_level="warning", server_header=False, http="httptools", ws="none")
    uvicorn.Server(config).run(sockets=[listener])
