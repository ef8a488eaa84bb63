"""Prometheus metrics and health over HTTP: read only, off unless `metrics.listen` says where."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

from edgelstm.errors import UnavailableError

TIMEOUT_S = 2.0
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Web:
    """Serves /metrics, /healthz and /readyz, one request at a time.

    metrics  returns the page;  healthy, ready  return why not, "" if all is well
    """

    def __init__(
        self, listen: str, metrics: Callable[[], str], healthy: Callable[[], str], ready: Callable[[], str]
    ) -> None:
        """Open the port; raises UnavailableError where that is not possible."""
        pages = {"/metrics": metrics, "/healthz": healthy, "/readyz": ready}

        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT_S
            server_version, sys_version = "edgelstm", ""

            def do_GET(self) -> None:
                page = pages.get(self.path.partition("?")[0])
                if page is None:
                    self.send_error(404)
                    return
                text = page()
                bad = page is not metrics and bool(text)
                body = (text or "ok\n").encode()
                self.send_response(503 if bad else 200)
                self.send_header("Content-Type", TEXT)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: a probe every ten seconds is no event."""

        host, _, port = listen.rpartition(":")
        try:
            self._server = HTTPServer((host.strip("[]"), int(port)), Handler)
        except OSError as exc:
            raise UnavailableError(
                f"metrics.listen: {listen}: cannot be opened: {exc.strerror or exc}"
            ) from None
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
