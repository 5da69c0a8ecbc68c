"""The service on a Unix socket, behind a proxy and without one, and on IPv6."""

import socket
import stat
from pathlib import Path

import httpx2
import pytest
from conftest import app_for, key_for, listening
from processes import PATIENCE
from proxies import PREFIX, nginx

from qa_service.errors import ServerStartError, SettingsError
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.keys import check_access
from qa_service.server.process import bound_socket, close_listener
from qa_service.settings import Settings

QUESTION = {"question": "where does the cat sleep"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "qa.sock"


@pytest.mark.needs("nginx")
def test_a_proxy_on_the_socket_is_trusted_and_its_visitors_are_told_apart(
    answerer: QuestionAnswerer, settings: Settings, path: Path, tmp_path: Path
) -> None:
    """By the address that the proxy adds, whatever a visitor claims; its prefix is in every link."""
    own = settings.model_copy(update={"host": f"unix:{path}", "access": "open", "visitor_rate": "2/minute"})
    location = (
        f"location {PREFIX}/ {{ proxy_pass http://unix:{path}:/; proxy_set_header Host $host; "
        f"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Prefix {PREFIX}; }}"
    )
    with listening(app_for(answerer, own), host=own.host), nginx(tmp_path, location) as address:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        answers = [
            httpx2.post(f"{address}{PREFIX}/ask", json=QUESTION, headers={"X-Forwarded-For": claimed}, timeout=PATIENCE)
            for claimed in ("192.0.2.1", "192.0.2.2, unix:", "192.0.2.3")
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].json()["results"][0]["citation"]["permalink"].startswith(f"{PREFIX}/cite/")


def test_a_socket_needs_a_key_as_a_network_does(settings: Settings, path: Path) -> None:
    """The proxy lets others in."""
    own = settings.model_copy(update={"host": f"unix:{path}"})
    with pytest.raises(SettingsError, match=f"others can reach unix:{path}"):
        check_access(own)
    key_for(own, "ask")
    check_access(own)


def test_a_socket_that_was_left_behind_is_replaced(path: Path) -> None:
    """A file, or the socket of a running server, is not."""
    bound_socket(f"unix:{path}", 0).close()
    listener = bound_socket(f"unix:{path}", 0)
    listener.listen()
    with pytest.raises(ServerStartError, match=f"can't listen on {path}: Address already in use"):
        bound_socket(f"unix:{path}", 0)
    close_listener(listener, f"unix:{path}")
    assert not path.exists()
    path.write_text("a file", encoding="utf-8")
    with pytest.raises(ServerStartError, match="Address already in use"):
        bound_socket(f"unix:{path}", 0)
    assert path.read_text(encoding="utf-8") == "a file"
    with pytest.raises(ServerStartError, match="path too long"):
        bound_socket(f"unix:{path}{'x' * 200}", 0)


@pytest.mark.needs("ipv6")
def test_the_service_listens_on_ipv6(answerer: QuestionAnswerer, settings: Settings) -> None:
    """With brackets in the Host header; the host name of another site is refused."""
    own = settings.model_copy(update={"host": "::1"})
    with listening(app_for(answerer, own), host=own.host) as port:
        asked = [
            httpx2.post(f"http://[::1]:{port}/ask", json=QUESTION, headers=headers, timeout=PATIENCE).status_code
            for headers in ({}, {"Host": "[0:0::1]"}, {"Host": "evil.example"}, {"Host": "[::2]"})
        ]
    assert asked == [200, 200, 400, 400]
    assert socket.getaddrinfo("::1", port)[0][0] == socket.AF_INET6
