"""A unix socket in front of the container engine that can refuse, hang, break off and die.

An agent is pointed to it with DOCKER_HOST; the tests themselves go on talking to the engine directly.
"""

import contextlib
import os
import pathlib
import re
import socket
import threading

HANG = "hang"


class EngineProxy:
    """Passes every request on, unless a rule says otherwise.

    A rule is a regular expression for `METHOD PATH` and what happens instead: `HANG` (no answer, ever) or a status and
    a message in the engine's form. Each connection serves one request, so that a rule holds from the next on.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.rules = []
        host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        self._engine = host.removeprefix("unix://")
        self._lock = threading.Lock()
        self._open = set()
        self._listener = None

    @property
    def host(self):
        return f"unix://{self.path}"

    def rule(self, pattern, outcome):
        self.rules.append((re.compile(pattern), outcome))

    def clear(self):
        """No more faults. What hangs breaks off, as it does when a stuck engine is restarted."""
        self.rules = []
        self._close_all()

    def up(self):
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self):
        """The engine's process is gone: connections break off, and nobody listens."""
        self.path.unlink(missing_ok=True)
        # Wakes the thread that accepts, which a close alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._close_all()

    def _close_all(self):
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with self._lock:
            self._open.add(client)
        try:
            self._request(client)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(client)
            client.close()

    def _request(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(65536)
            if not more:
                return
            head += more
        head, rest = head.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        asked = " ".join(lines[0].split(" ")[:2])
        for pattern, outcome in self.rules:
            if not pattern.search(asked):
                continue
            if outcome == HANG:
                while client.recv(65536):
                    pass
                return
            status, text = outcome
            body = text if text.startswith("{") else '{"message":"%s"}' % text
            answer = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nConnection: close\r\n"
            client.sendall(f"{answer}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            return
        kept = [line for line in lines if not line.lower().startswith("connection:")]
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._engine)
            engine.sendall("\r\n".join([*kept, "Connection: close"]).encode() + b"\r\n\r\n" + rest)
            threading.Thread(target=_pump, args=(client, engine), daemon=True).start()
            _pump(engine, client)


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    # Whoever waits for the other direction is done as well.
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
