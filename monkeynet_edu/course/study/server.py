"""The study as a page of this computer: ``study run``. Nothing but this machine's own browser can reach it."""

from __future__ import annotations

import errno
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from monkeynet_edu.course.study.sitting import Sitting
from monkeynet_edu.errors import UserError
from monkeynet_edu.widgets.study_script import PAGE, PAGE_SCRIPT, PAGE_STYLE

HOST, PORT = "127.0.0.1", 8767
_LONGEST = 10_000
_SECURE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FILES = {
    "/": ("text/html; charset=utf-8", PAGE),
    "/study.js": ("text/javascript; charset=utf-8", PAGE_SCRIPT),
    "/study.css": ("text/css; charset=utf-8", PAGE_STYLE),
}


class StudyServer(ThreadingHTTPServer):
    """Serves one study to the browser of this machine.

    Args:
        sitting: answers the page.
        port: to listen on; 0 takes a free one.

    Raises:
        UserError: the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True  # after a crash the same port has to serve the page that is still open

    def __init__(self, sitting: Sitting, port: int = PORT) -> None:
        self.sitting = sitting
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise UserError(
                f"port {port}: expected a free one, got {error.strerror}; end the other study or choose another --port"
            ) from error

    @property
    def address(self) -> str:
        """Where the browser finds it."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def allows(self, host: str | None, origin: str | None) -> bool:
        """Whether a request comes from this server's own page: other sites could otherwise vote in its name."""
        own = {f"{name}:{self.server_address[1]}" for name in (HOST, "localhost")}
        return host in own and (origin is None or origin in {f"http://{name}" for name in own})


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Page, script and style sheet."""
        found = _FILES.get(self.path.partition("?")[0])
        if not self._allowed():
            return
        if found is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"nothing here")
        else:
            self._send(HTTPStatus.OK, found[0], found[1].encode())

    def do_POST(self) -> None:
        """The conversation, see :class:`~monkeynet_edu.course.study.sitting.Sitting`."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LONGEST:
            self.close_connection = True
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain; charset=utf-8", b"too long")
            return
        body = self.rfile.read(int(length))
        if not self._allowed():
            return
        if self.path != "/answer" or self.headers.get_content_type() != "application/json":
            self._send(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"nothing here")
            return
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._send(HTTPStatus.BAD_REQUEST, "text/plain; charset=utf-8", b"expected a JSON object")
            return
        answer = json.dumps(self.server.sitting.answer(message)).encode()
        self._send(HTTPStatus.OK, "application/json", answer)

    def _allowed(self) -> bool:
        if self.server.allows(self.headers.get("Host"), self.headers.get("Origin")):
            return True
        self._send(HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8", b"for the page of this computer alone")
        return False

    def _send(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self.send_response(status)
        for name, value in _SECURE.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal has the address and, at the end, what was kept."""
