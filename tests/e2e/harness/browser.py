"""A real, headless Chromium that opens a page, and a small web server for the page."""

import contextlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from .wait import STRETCH

PAGE_SECS = 60


def require_chromium():
    """Skips, loudly; fails where a skipped test would be a false comfort (CI, or asked for)."""
    if shutil.which("chromium"):
        return
    hint = "there is no chromium: run scripts/prerequisites --tests"
    if os.environ.get("CI") == "true" or os.environ.get("LONGSHORE_E2E") == "require":
        raise AssertionError(hint)
    print(f"SKIPPED: {hint}", file=sys.stderr)
    raise unittest.SkipTest(hint)


class PageServer:
    """Serves one page on a loopback port. The page says what it saw by a POST of JSON to `/done`.

    With `rebound_to`, an address and port, every other request is passed on there as it came: to the browser
    that is a name which first pointed at this page and now points at somebody else's server (DNS rebinding).
    """

    def __init__(self, rebound_to=None):
        self.page = ""
        self.rebound_to = rebound_to
        self._said = None
        self._done = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, body, kind="text/html; charset=utf-8"):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def body(self):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def pass_on(self):
                head = f"{self.command} {self.path} HTTP/1.1\r\n"
                kept = [(name, value) for name, value in self.headers.items() if name.lower() != "connection"]
                head += "".join(f"{name}: {value}\r\n" for name, value in [*kept, ("Connection", "close")])
                with socket.create_connection(outer.rebound_to, timeout=10 * STRETCH) as upstream:
                    upstream.sendall(f"{head}\r\n".encode("latin-1") + self.body())
                    while part := upstream.recv(65536):
                        self.wfile.write(part)
                self.close_connection = True

            def do_GET(self):
                if self.path == "/page":
                    self.answer(outer.page.encode())
                elif outer.rebound_to and self.path != "/favicon.ico":
                    self.pass_on()
                else:
                    self.answer(b"")

            def do_POST(self):
                if self.path == "/done":
                    outer._said = json.loads(self.body())
                    self.answer(b"")
                    outer._done.set()
                elif outer.rebound_to:
                    self.pass_on()
                else:
                    self.body()
                    self.answer(b"")

            do_OPTIONS = do_POST

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def visit(self, page, host="127.0.0.1"):
        """Opens the page in a browser, as `http://host:port/page`, and gives what the page said."""
        self.page, self._said = page, None
        self._done.clear()
        with _chromium(f"http://{host}:{self.port}/page", host):
            if not self._done.wait(PAGE_SECS * STRETCH):
                raise AssertionError("the page did not say that it is done")
        return self._said


@contextlib.contextmanager
def _chromium(url, host):
    with tempfile.TemporaryDirectory(prefix="longshore-chromium-", ignore_cleanup_errors=True) as profile:
        child = subprocess.Popen(
            [
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                f"--host-resolver-rules=MAP {host} 127.0.0.1",
                f"--user-data-dir={profile}",
                url,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
