"""A receiver on this machine, and endpoints as rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from diagnosis.models import WebhookEndpoint
from diagnosis.webhooks import TOPICS, signing
from tests.cast import Cast

SECRET = signing.new_secret()


@dataclass
class Receiver:
    """What arrived: headers in small letters, and the body. `answers` are given in turn, then 204."""

    url: str = ""
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def receiver() -> Iterator[Receiver]:
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(told.answers.pop(0) if told.answers else 204)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_address[1]}/told?by=leukolens"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


def make_endpoint(
    cast: Cast, url: str = "https://lis.example/told", topics: list[str] | None = None
) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(
        laboratory=cast.laboratory,
        name="LIS bridge",
        url=url,
        secret=signing.sealed(SECRET),
        topics=list(TOPICS) if topics is None else topics,
        created_by=cast.administrator.user,
    )
