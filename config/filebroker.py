"""The embedded broker: Celery messages as files in `var/broker`, for one machine without servers.

kombu's file transport creates a message and then fills it; a reader that looks in between finds it empty, and the
worker ends. Here a message appears complete or not at all. The folders are made where they are missing.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for folder in (self.data_folder_in, self.data_folder_out, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as kombu has it
        folder = Path(self.data_folder_out)
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}"
        aside = folder / f"{name}.writing"
        aside.write_text(dumps(payload))
        os.replace(aside, folder / f"{name}.{queue}.msg")


class Transport(filesystem.Transport):
    Channel = Channel
