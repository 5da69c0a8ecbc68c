"""A service that sends given responses, to test clients."""

import time
from http.server import BaseHTTPRequestHandler
from typing import ClassVar


class Busy(BaseHTTPRequestHandler):
    """Sends the responses of a list, one for each request; the last one again and again."""

    answers: ClassVar[list[tuple[int, dict[str, str], bytes]]] = []
    asked: ClassVar[list[float]] = []

    def do_GET(self) -> None:
        self.asked.append(time.monotonic())
        status, headers, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
