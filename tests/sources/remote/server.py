"""A real HTTP server on 127.0.0.1 that serves files from memory and misbehaves as a test tells it to."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["Handler", bytes], bool]  # says whether it has answered


class Server(ThreadingHTTPServer):
    """Serves `files` (path → bytes). Each request takes the next of `faults`; None among them is a healthy answer."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: deque[Fault | None] = deque()
        self.always: Fault | None = None
        self.requests: list[tuple[str, dict[str, str]]] = []  # (path with query, headers)
        self.etag = True
        self.lock = threading.Lock()

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].lstrip("/")
        with self.server.lock:
            self.server.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            fault = self.server.faults.popleft() if self.server.faults else self.server.always
        data = self.server.files.get(path)
        if data is None:
            self.answer(404, b"gone")
        elif fault is None or not fault(self, data):
            self.serve(data)

    def serve(self, data: bytes, **changed: str | None) -> None:
        """Answer as a healthy server does; `changed` replaces header fields (None leaves one out)."""
        start, end = self.wanted(data)
        if start >= len(data):
            self.answer(416, b"", content_range=f"bytes */{len(data)}")
            return
        headers = {"content_range": f"bytes {start}-{end - 1}/{len(data)}", "etag": etag_of(data)}
        if not self.server.etag:
            del headers["etag"]
        wanted = self.headers.get("if-match")
        if wanted and wanted != headers.get("etag"):
            self.answer(412, b"")
            return
        self.answer(206, data[start:end], **{**headers, **changed})

    def wanted(self, data: bytes) -> tuple[int, int]:
        first, last = self.headers["range"].removeprefix("bytes=").split("-")
        return int(first), min(int(last) + 1, len(data))

    def answer(self, status: int, body: bytes, **headers: str | None) -> None:
        self.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def etag_of(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:16]}"'


# -- faults


def reset(handler: Handler, data: bytes) -> bool:
    handler.hang_up()
    return True


def status(code: int, **headers: str) -> Fault:
    def fault(handler: Handler, data: bytes) -> bool:
        handler.answer(code, b"<Error><Code>Made_Up</Code></Error>", **headers)
        return True

    return fault


def breaks_off(n_bytes: int, *, reset: bool = False) -> Fault:
    """The reply promises all and ends after `n_bytes`."""

    def fault(handler: Handler, data: bytes) -> bool:
        start, end = handler.wanted(data)
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        handler.send_header("Content-Length", str(end - start))
        handler.send_header("ETag", etag_of(data))
        handler.end_headers()
        handler.wfile.write(data[start : min(end, start + n_bytes)])
        handler.wfile.flush()
        if reset:
            time.sleep(0.02)  # what was sent arrives first
            handler.hang_up()
        handler.close_connection = True
        return True

    return fault


def shorter(n_bytes: int) -> Fault:
    """A valid reply that holds fewer bytes than were asked for."""

    def fault(handler: Handler, data: bytes) -> bool:
        start, end = handler.wanted(data)
        end = min(end, start + n_bytes)
        content_range = f"bytes {start}-{end - 1}/{len(data)}"
        handler.answer(206, data[start:end], content_range=content_range, etag=etag_of(data))
        return True

    return fault


def shifted(by: int) -> Fault:
    """Another range than was asked for, and honest about it."""

    def fault(handler: Handler, data: bytes) -> bool:
        start, end = handler.wanted(data)
        start, end = start + by, min(end + by, len(data))
        content_range = f"bytes {start}-{end - 1}/{len(data)}"
        handler.answer(206, data[start:end], content_range=content_range, etag=etag_of(data))
        return True

    return fault


def header(**changed: str | None) -> Fault:
    """A healthy reply but for some header fields."""

    def fault(handler: Handler, data: bytes) -> bool:
        handler.serve(data, **changed)
        return True

    return fault


def whole(handler: Handler, data: bytes) -> bool:
    """A server without ranges."""
    handler.answer(200, data, etag=etag_of(data))
    return True


def slowly(n_bytes: int, pause_s: float) -> Fault:
    """A byte now and then."""

    def fault(handler: Handler, data: bytes) -> bool:
        start, end = handler.wanted(data)
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        handler.send_header("ETag", etag_of(data))
        handler.send_header("Content-Length", str(end - start))
        handler.end_headers()
        for at in range(start, min(end, start + n_bytes)):
            handler.wfile.write(data[at : at + 1])
            time.sleep(pause_s)
        handler.close_connection = True
        return True

    return fault


def to(location: str, code: int = 302) -> Fault:
    return status(code, location=location)


@contextmanager
def serving(**files: bytes) -> Iterator[Server]:
    """Run a server for the time of a test."""
    server = Server()
    server.files.update(files)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.005), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
