"""`make demo`: the whole portal on one machine, embedded: SQLite, files, a web process and one Celery worker.

PORT moves it (8000), DEMO_IMAGES=<folder with a manifest.csv> loads that folder's pictures instead of rendered ones.
Ctrl-C stops everything it started.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("VAR_DIR", ROOT / "var")).resolve()


class StopDemo(Exception):  # noqa: N818 - a request, not an error
    """Somebody asked the demo to end."""


def stop(*_: object) -> None:
    raise StopDemo


def main() -> int:
    port = int(os.environ.get("PORT", "8000"))
    url = f"http://127.0.0.1:{port}"
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            print(f"Port {port} is taken. Choose another: PORT={port + 1} make demo", file=sys.stderr)
            return 1
    VAR.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "EMBEDDED": "1",
        "DEBUG": "0",
        "VAR_DIR": str(VAR),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    for name in ("DATABASE_URL", "BROKER_URL", "CACHE_URL"):  # embedded means embedded
        os.environ.pop(name, None)

    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("register_models", verbosity=0)
    call_command("load_demo", people_only=True, url=url)

    processes: list[subprocess.Popen[bytes]] = []

    def start(log: str, *command: str) -> subprocess.Popen[bytes]:
        with (VAR / log).open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], stdout=file, stderr=file, start_new_session=True
            )
        processes.append(process)
        return process

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        web = start(
            "web.log", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "8", "--no-control-socket"
        )
        worker = start(
            "worker.log", "celery", "-A", "config", "worker", "-B", "--concurrency", "1", "--loglevel", "INFO"
        )
        wait_for(f"{url}/healthz", web)
        images = os.environ.get("DEMO_IMAGES", "")
        loader = [
            sys.executable,
            "manage.py",
            "load_demo",
            "--url",
            url,
            *(["--images", images] if images else []),
        ]
        processes.append(subprocess.Popen(loader, start_new_session=True))
        announce(url)
        while True:
            for name, process in (("web server", web), ("worker", worker)):
                if process.poll() is not None:
                    log = "web.log" if process is web else "worker.log"
                    print(f"The {name} ended (exit {process.returncode}); see {VAR / log}", file=sys.stderr)
                    return 1
            time.sleep(0.5)
    except StopDemo:
        print("\nStopping …")
        return 0
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(address: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310 - our own address
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)


def announce(url: str) -> None:
    credentials = json.loads((VAR / "demo-credentials.json").read_text())
    lines = [f"  {person['email']:34}{person['password']:18}{person['role']}" for person in credentials["users"]]
    print(
        f"\nLeukoLens is running at {url}   (Research use only – not for diagnostic use)\n\n"
        "Sign in as\n" + "\n".join(lines) + f"\n\nAPI token  {credentials['api_token']}\n"
        f"Written to {VAR / 'demo-credentials.json'}; rendered pictures to upload by hand: {VAR / 'demo-images'}\n"
        "Ctrl-C stops it.\n",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
