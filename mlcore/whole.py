"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def save_text(path: Path, text: str) -> None:
    """Written beside and moved over, under a name of this process's own: others may write the same at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
