"""A connection that breaks: a TCP proxy that cuts what passes through it, in either direction, when it is told to."""

from __future__ import annotations

import contextlib
import random
import socket
import threading


class CuttingProxy:
    """Listens on a port of its own and passes everything on to `target`. `cut_next` makes one of the next
    connections die after a random number of bytes of the request or of the answer."""

    def __init__(self, target: tuple[str, int], seed: int = 0) -> None:
        self.target, self.random = target, random.Random(seed)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.cuts = 0
        self._due = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_next(self, times: int = 1) -> None:
        with self._lock:
            self._due += times

    def close(self) -> None:
        self.server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            upstream = socket.create_connection(self.target, timeout=60)
        except OSError:
            client.close()
            return
        with self._lock:
            doomed = self._due > 0
            if doomed:
                self._due -= 1
                self.cuts += 1
        # Of the request after some of its body; of the answer before a byte of it arrives.
        limits = self.random.choice([(self.random.randint(1, 4000), None), (None, 0)]) if doomed else (None, None)
        ends = [
            threading.Thread(target=self._pass, args=(client, upstream, limits[0]), daemon=True),
            threading.Thread(target=self._pass, args=(upstream, client, limits[1]), daemon=True),
        ]
        for end in ends:
            end.start()

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        try:
            while data := source.recv(65536):
                if limit is not None:
                    sink.sendall(data[:limit])
                    limit -= min(len(data), limit)
                    if limit == 0:
                        break
                else:
                    sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
