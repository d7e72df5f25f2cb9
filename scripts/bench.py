"""`make bench`: what the portal costs on top of the networks, measured on this machine.

Prints each figure and writes `var/bench.json`: name -> {"value", "unit", "note"}. Compare the ratios between machines,
not the absolute figures. Uses PostgreSQL and Redis where they are installed, else the embedded set-up, and says which.
"""

from __future__ import annotations

import base64
import http.client
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mlcore.bundle import shipped_bundles  # noqa: E402
from mlcore.engines import Predictor  # noqa: E402
from mlcore.phantom import render_cell, save_rendered  # noqa: E402
from tests import servers  # noqa: E402
from tests.portal import Portal  # noqa: E402

PICTURES = int(os.environ.get("BENCH_PICTURES", "300"))
UPLOADERS, TOGETHER = 2, 20  # clients at once, and files in one request of theirs


def rendered(count: int) -> list[bytes]:
    labels = ("blast", "neutrophil", "lymphocyte", "monocyte", "promyelocyte")
    files = []
    for seed in range(count):
        file = io.BytesIO()
        save_rendered(render_cell(labels[seed % len(labels)], seed=40_000 + seed), file, kind="cell")
        files.append(file.getvalue())
    return files


def engine_rate(files: list[bytes], engine: str) -> float:
    """Images read by both cell networks per second, one process, the engine's own threads, decoding included."""
    predictor = Predictor([b for b in shipped_bundles() if b.card.task == "cell"], engine=engine)
    predictor.read(files[:32], "cell")
    began = time.perf_counter()
    for start in range(0, len(files), 32):
        predictor.read(files[start : start + 32], "cell")
    return len(files) / (time.perf_counter() - began)


def portal_rate(portal: Portal, files: list[bytes]) -> float:
    """Images per second from the first byte of the first upload to the last reading by both networks."""
    token = portal.credentials["api_token"]
    body = json.dumps({"accession_number": "BENCH-1", "patient": {"mrn": "BENCH"}}).encode()
    status, case = portal.request("POST", "/api/v1/cases/", body=body, token=token)
    if status != 201:
        raise RuntimeError(f"the case was refused: {status} {case}")

    def upload(numbers: range) -> None:
        sent = [(f"cell-{number}.jpg", files[number]) for number in numbers]
        status, answer = portal.upload_all(case["id"], sent, kind="cell")
        if status != 200 or any(file["status"] != "accepted" for file in answer["outcomes"]):
            raise RuntimeError(f"an upload failed: {status} {answer}")

    def done() -> bool:
        progress = portal.get(f"/api/v1/cases/{case['id']}/?fields=assessment", token)[1]["assessment"].get(
            "progress", {}
        )
        return bool(progress.get("done", 0) + progress.get("failed", 0) >= len(files))

    began = time.perf_counter()
    with ThreadPoolExecutor(UPLOADERS) as uploaders:
        starts = range(0, len(files), TOGETHER)
        list(uploaders.map(upload, (range(first, min(first + TOGETHER, len(files))) for first in starts)))
    portal.wait_for(done, "every picture to be read", seconds=300, every=0.2)
    return len(files) / (time.perf_counter() - began)


def litserve_rate(files: list[bytes]) -> float | None:
    """Images per second through LitServe with the same networks; None where LitServe is not installed."""
    if not importlib.util.find_spec("litserve"):
        return None
    port = servers.free_port()
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "bench_litserve.py"), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def post(data: bytes) -> None:
        body = json.dumps({"picture": base64.b64encode(data).decode()})
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as line:
            line.request("POST", "/predict", body, {"Content-Type": "application/json"})
            if set(json.load(line.getresponse())) != {"cnn", "mobilenet"}:
                raise RuntimeError("LitServe did not read with both networks")

    def ready() -> bool:
        with suppress(OSError):
            post(files[0])
            return True
        return False

    try:
        until = time.monotonic() + 60
        while not ready():
            if time.monotonic() > until:
                raise RuntimeError("LitServe did not start within a minute")
            time.sleep(0.5)
        # As many at once as it takes in one batch, where it is fastest.
        with ThreadPoolExecutor(16) as clients:
            began = time.perf_counter()
            list(clients.map(post, files))
            return len(files) / (time.perf_counter() - began)
    finally:
        os.killpg(server.pid, signal.SIGKILL)


def main() -> int:
    os.chdir(ROOT)
    files = rendered(PICTURES)
    figures: dict[str, dict[str, object]] = {}

    def note(name: str, value: float, unit: str, words: str) -> None:
        figures[name] = {"value": round(value, 3), "unit": unit, "note": words}
        print(f"{name:28}{value:10.2f} {unit:10} {words}", flush=True)

    cores = f"{os.cpu_count()} cores, {PICTURES} rendered 192 px cells, both networks"
    raw = engine_rate(files, "onnxruntime")
    note("raw_engine_per_s", raw, "images/s", f"onnxruntime in one process, decoding included, {cores}")
    torch_rate = engine_rate(files, "torch")
    note("raw_torch_per_s", torch_rate, "images/s", f"torch on the CPU, decoding included, {cores}")
    note("onnxruntime_over_torch", raw / torch_rate, "ratio", "how much faster the CPU worker's engine is")
    with ExitStack() as stack:
        if servers.postgres_binaries() and servers.redis_binary():
            postgres, redis = stack.enter_context(servers.running())
            portal = Portal(
                database_url=postgres.create("bench"), broker_url=redis.url, environment={"API_THROTTLE": "100000/min"}
            )
            where = "PostgreSQL and Redis"
        else:
            portal = Portal(environment={"API_THROTTLE": "100000/min"})
            where = "embedded: SQLite and the file broker"
        for name in ("OMP_NUM_THREADS", "INFERENCE_THREADS"):
            portal.environment.pop(name)
        stack.callback(portal.stop)
        portal.prepare()
        portal.start_web()
        portal.start_worker()
        if portal.served:
            portal.start_beat()
        portal.wait_for(lambda: portal.get("/readyz")[0] == 200, "the worker")
        rate = portal_rate(portal, files)
    note(
        "upload_to_reading_per_s", rate, "images/s",
        f"upload by API, {TOGETHER} files a request, to stored reading by both, one worker, {where}, {cores}",
    )  # fmt: skip
    note("worker_share_of_engine", rate / raw, "ratio", "1 would mean that portal, database and uploads cost nothing")
    if (lit := litserve_rate(files)) is not None:
        note("litserve_per_s", lit, "images/s", f"upload to answer by LitServe, which stores nothing, {cores}")
        note(
            "portal_over_litserve", rate / lit, "ratio", "checks, deduplication, storage, audit and assessment included"
        )
    else:
        print("litserve_per_s was not measured: LitServe is not installed (pip install litserve)")
    out = ROOT / "var" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    desk = subprocess.run([sys.executable, str(ROOT / "scripts" / "bench_desk.py")])  # adds its figures to the file
    print(f"written to {out.relative_to(ROOT)}")
    return desk.returncode


if __name__ == "__main__":
    sys.exit(main())
