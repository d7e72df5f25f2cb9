"""`celery worker --include tests.served.slow`: a worker that takes SLOW_PASS seconds for every four pictures, so that
a test can strike in the midst of a batch."""

import os
import time
from collections.abc import Sequence

from diagnosis import analysis, queue

_at_full_speed = analysis._read


def _slowly(batch: queue.Batch, pictures: Sequence[analysis.Picture]) -> None:
    time.sleep(float(os.environ["SLOW_PASS"]))
    _at_full_speed(batch, pictures)


analysis._PASS_IMAGES = 4
analysis._read = _slowly
