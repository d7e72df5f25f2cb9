"""The product as it really runs: gunicorn, Celery workers and beat as separate processes, driven from outside."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent


class Portal:
    """One installation in a temporary folder.

    Embedded (SQLite and the file broker) unless `database_url` and `broker_url` name real servers. `environment`
    is added for every process, so tests can shorten limits (`ANALYSIS_LEASE="6"`).
    """

    def __init__(
        self, *, database_url: str = "", broker_url: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        self.var = Path(tempfile.mkdtemp(prefix="leukolens-portal-"))
        atexit.register(shutil.rmtree, self.var, ignore_errors=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.served = bool(database_url)
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "PYTEST_", "DATABASE_"))
        }
        self.environment |= {
            "VAR_DIR": str(self.var),
            "DEBUG": "0",
            "OMP_NUM_THREADS": "1",
            "INFERENCE_THREADS": "1",
        }
        if self.served:
            self.environment |= {
                "EMBEDDED": "0",
                "DATABASE_URL": database_url,
                "BROKER_URL": broker_url,
                "HTTPS": "0",
                "SECRET_KEY": "a-key-of-the-tests-that-is-long-enough-0123456789-abcdef",
                "ALLOWED_HOSTS": "127.0.0.1,localhost",
            }
        else:
            self.environment |= {"EMBEDDED": "1"}
        self.environment |= dict(environment or {})
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.credentials: dict[str, Any] = {}

    # -- processes ------------------------------------------------------------------------------------------
    def manage(self, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=self.environment | environment,
        )
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self, name: str, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        log = open(self.var / f"{name}.log", "ab")  # noqa: SIM115 - handed to the process
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env=self.environment | environment,
            start_new_session=True,
        )
        self.processes[name] = process
        return process

    def prepare(self) -> None:
        """Migrate, register the models that ship, make the demo laboratory (people and token, no images)."""
        if self.served:
            self.manage("collectstatic", "--noinput", "--verbosity", "0")
        self.manage("migrate", "--verbosity", "0")
        self.manage("register_models")
        self.manage("load_demo", "--people-only", "--url", self.url)
        self.credentials = json.loads((self.var / "demo-credentials.json").read_text())

    def start_web(self, **environment: str) -> None:
        self.start(
            "web",
            "gunicorn",
            "config.wsgi",
            "--bind",
            f"127.0.0.1:{self.port}",
            "--threads",
            "8",
            **environment,
        )
        self.wait_for(lambda: self.get("/healthz")[0] == 200, "the web process")

    def start_worker(self, name: str = "worker", *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        beat = [] if self.served else ["-B"]
        return self.start(
            name,
            "celery",
            "-A",
            "config",
            "worker",
            "--concurrency",
            "1",
            "--loglevel",
            "INFO",
            "--hostname",
            f"{name}@leukolens",
            *beat,
            *arguments,
            **environment,
        )

    def start_beat(self) -> None:
        self.start("beat", "celery", "-A", "config", "beat", "--loglevel", "INFO")

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send `sig` to the process and everything it started, and wait for its end."""
        process = self.processes.pop(name)
        try:
            os.killpg(process.pid, sig)
            process.wait(30)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name, signal.SIGTERM if name == "web" else signal.SIGKILL)

    def log(self, name: str) -> str:
        path = self.var / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # -- talking to it --------------------------------------------------------------------------------------
    def get(self, path: str, token: str | None = None) -> tuple[int, Any]:
        return self.request("GET", path, token=token)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        token: str | None = None,
        timeout: float = 30.0,
    ) -> tuple[int, Any]:
        """Status (0: no answer) and the decoded answer: JSON where it is JSON, else bytes."""
        headers = {"Content-Type": content_type} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, kind, content = answer.status, answer.headers.get("Content-Type", ""), answer.read()
        except urllib.error.HTTPError as error:
            status, kind, content = error.code, error.headers.get("Content-Type", ""), error.read()
        except (urllib.error.URLError, OSError):
            return 0, None
        return status, json.loads(content) if "json" in kind and content else content

    def upload(
        self, case_id: int, data: bytes, name: str = "smear.png", *, kind: str = "", token: str | None = None
    ) -> tuple[int, Any]:
        return self._send(f"/api/v1/cases/{case_id}/images/", [(name, data)], kind, token)

    def upload_all(
        self, case_id: int, files: Sequence[tuple[str, bytes]], *, kind: str = "", token: str | None = None
    ) -> tuple[int, Any]:
        """Several named files in one request."""
        return self._send(f"/api/v1/cases/{case_id}/images/batch/", files, kind, token)

    def _send(self, path: str, files: Sequence[tuple[str, bytes]], kind: str, token: str | None) -> tuple[int, Any]:
        boundary = "----leukolens-boundary"
        parts = []
        if kind:
            parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="kind"\r\n\r\n{kind}\r\n'.encode())
        for name, data in files:
            parts.append(
                f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                f"Content-Type: application/octet-stream\r\n\r\n".encode()
                + data
                + b"\r\n"
            )
        return self.request(
            "POST",
            path,
            body=b"".join(parts) + f"--{boundary}--\r\n".encode(),
            content_type=f"multipart/form-data; boundary={boundary}",
            token=token or self.credentials["api_token"],
        )

    def wait_for(self, ready: Any, what: str, seconds: float = 60.0, every: float = 0.1) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if ready():
                return
            time.sleep(every)
        logs = "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in self.processes)
        raise AssertionError(f"waited {seconds:.0f} s in vain for {what}\n{logs}")
