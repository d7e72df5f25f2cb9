"""Real PostgreSQL and Redis servers of the tests' own: temporary folders, free ports, loopback only.

    python -m tests.servers -- COMMAND…

runs COMMAND with DATABASE_URL and REDIS_URL pointing at freshly started ones.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_SUPERUSER = os.geteuid() == 0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def postgres_binaries() -> Path | None:
    """The newest installed PostgreSQL server's `bin` folder, or None."""
    found = shutil.which("postgres")
    if found:
        return Path(found).parent
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[4]))
    return Path(folders[-1]).parent if folders else None


def redis_binary() -> str | None:
    return shutil.which("redis-server")


def chromium_binary() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def _wait(ready: object, what: str, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if ready():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise RuntimeError(f"{what} did not come up in {seconds:.0f} s")


class PostgresServer:
    """A throw-away cluster. PostgreSQL refuses to run as root, so as root it runs as the user `postgres`."""

    def __init__(self) -> None:
        binaries = postgres_binaries()
        if binaries is None:
            raise RuntimeError("PostgreSQL is not installed")
        self.bin, self.port = binaries, free_port()
        self.user = "postgres" if _SUPERUSER else None
        self.folder = Path(tempfile.mkdtemp(prefix="leukolens-pg-", dir="/tmp"))
        if self.user:
            shutil.chown(self.folder, self.user)
        self.process: subprocess.Popen[bytes] | None = None
        self._run(
            "initdb",
            "-D",
            str(self.folder / "data"),
            "-U",
            "leukolens",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        )

    def _run(self, program: str, *arguments: str) -> None:
        home = pwd.getpwnam(self.user).pw_dir if self.user else str(Path.home())
        subprocess.run(
            [str(self.bin / program), *arguments],
            check=True,
            user=self.user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C.UTF-8"},
        )

    def url(self, database: str) -> str:
        return f"postgresql://leukolens@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        log = open(self.folder / "log", "ab")  # noqa: SIM115 - handed to the server
        self.process = subprocess.Popen(
            [
                str(self.bin / "postgres"),
                "-D",
                str(self.folder / "data"),
                "-p",
                str(self.port),
                "-c",
                "listen_addresses=127.0.0.1",
                "-k",
                str(self.folder),
                "-c",
                "fsync=off",
                "-c",
                "max_connections=100",
            ],
            user=self.user,
            cwd=self.folder,
            stdout=log,
            stderr=log,
        )
        _wait(self.answers, "PostgreSQL")

    def answers(self) -> bool:
        import psycopg2

        try:
            psycopg2.connect(self.url("postgres"), connect_timeout=1).close()
        except psycopg2.OperationalError:
            return False
        return True

    def create(self, database: str, template: str = "template1") -> str:
        """A new database, empty or a copy of `template`, which nobody may be using; answers its URL."""
        import psycopg2

        connection = psycopg2.connect(self.url("postgres"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        connection.close()
        return self.url(database)

    def stop(self, sig: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast shutdown, cuts connections. SIGQUIT: as in a crash."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(30)
        self.process = None

    def restart(self, sig: signal.Signals = signal.SIGINT) -> None:
        self.stop(sig)
        self.start()

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


class RedisServer:
    """A Redis that keeps nothing on disk, so a restart loses everything it held."""

    def __init__(self) -> None:
        binary = redis_binary()
        if binary is None:
            raise RuntimeError("Redis is not installed")
        self.binary, self.port = binary, free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="leukolens-redis-"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                self.binary,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                str(self.folder),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait(self.answers, "Redis")

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as sock:
                sock.sendall(b"PING\r\n")
                return sock.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def flush(self) -> None:
        import redis

        redis.Redis.from_url(self.url).flushall()

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(30)
        self.process = None

    def restart(self) -> None:
        self.stop(signal.SIGKILL)
        self.start()

    def remove(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def running() -> Iterator[tuple[PostgresServer, RedisServer]]:
    """Both servers, up; gone afterwards."""
    postgres, redis = PostgresServer(), RedisServer()
    try:
        postgres.start()
        redis.start()
        yield postgres, redis
    finally:
        postgres.remove()
        redis.remove()


def main() -> int:
    arguments = sys.argv[1:]
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        print(__doc__)
        return 2
    with running() as (postgres, redis):
        url = postgres.create("leukolens")
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": url, "REDIS_URL": redis.url}).returncode


if __name__ == "__main__":
    sys.exit(main())
