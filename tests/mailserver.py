"""A mail server for tests, in a thread: it takes, refuses, or dies as it is told."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message


class MailServer:
    """`mood`: what it does with the next mails. "take" them, refuse the recipient with a code ("550", "451"), refuse
    the "554" of the content, "die" before saying whether it took a mail, "die after" it took it, or "slow"."""

    def __init__(self) -> None:
        self.mood = "take"
        self.taken: list[Message] = []
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say("220 test ESMTP")
                while line := self.rfile.readline():
                    verb = line[:4].upper().strip()
                    if verb == b"RCPT" and outer.mood in ("550", "451"):
                        self.say(f"{outer.mood} no such thing as {line.decode().strip()}")
                    elif verb == b"DATA":
                        if not self.data():
                            return
                    elif verb == b"QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 fine")

            def data(self) -> bool:
                self.say("354 go on")
                lines = []
                while (line := self.rfile.readline()) and line != b".\r\n":
                    lines.append(line)
                if outer.mood == "die":
                    return False
                if outer.mood == "slow":
                    time.sleep(0.2)
                if outer.mood == "554":
                    self.say("554 not this one")
                    return True
                outer.taken.append(message_from_bytes(b"".join(lines)))
                if outer.mood == "die after":
                    return False
                self.say("250 taken")
                return True

            def say(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

        return Handler


@contextmanager
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
