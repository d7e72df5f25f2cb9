"""Read many files with one bundle: decoded by threads ahead of the network, answered in the order given."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from mlcore.bundle import Bundle
from mlcore.engines import MICRO_BATCH, Predictor, Prepared
from mlcore.images import ImageRefused

AHEAD = 2  # batches that are decoded while one is read: bounds memory however long the list is


def manifest_paths(manifest: Path) -> list[tuple[str, Path]]:
    """(path as written, path to open) for every row; raises ValueError when there is no column `path`."""
    with manifest.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if "path" not in (reader.fieldnames or []):
            raise ValueError(f"{manifest}: there is no column 'path'")
        return [(row["path"], manifest.parent / row["path"]) for row in reader]


def read_files(
    bundle: Bundle, paths: Sequence[tuple[str, Path]], *, engine: str = "auto", threads: int | None = None
) -> Iterator[dict[str, Any]]:
    """For each (name, file): `path`, `probabilities`, `malignant`, `novelty`; or `path` and `error`."""
    predictor = Predictor([bundle], engine=engine, threads=threads)
    task = bundle.card.task

    def prepare(path: Path) -> Prepared | str:
        try:
            return predictor.prepare(path.read_bytes(), task)
        except ImageRefused as refused:
            return str(refused)
        except OSError as error:
            return f"This file cannot be opened: {error.strerror}."

    with ThreadPoolExecutor() as pool:
        for batch in ahead(pool, paths, prepare):
            prepared = [picture.result() for _, picture in batch]
            opinions = iter(predictor.read_prepared([part for part in prepared if not isinstance(part, str)], task))
            for (name, _), part in zip(batch, prepared, strict=True):
                if isinstance(part, str):
                    yield {"path": name, "error": part}
                    continue
                (opinion,) = next(opinions)
                yield {
                    "path": name,
                    "probabilities": opinion.probabilities,
                    "malignant": opinion.malignant,
                    "novelty": opinion.novelty,
                }


def ahead(pool: ThreadPoolExecutor, paths: Iterable[tuple[Any, Any]], prepare: Any) -> Iterator[list[Any]]:
    """Batches of (name, future), of which AHEAD more are under way while the caller works on one."""
    todo = iter(paths)
    waiting: deque[list[tuple[Any, Future[Any]]]] = deque()
    while True:
        while len(waiting) <= AHEAD and (part := list(islice(todo, MICRO_BATCH))):
            waiting.append([(name, pool.submit(prepare, path)) for name, path in part])
        if not waiting:
            return
        yield waiting.popleft()
