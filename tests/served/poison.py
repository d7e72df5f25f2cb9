"""`celery worker --include tests.served.poison`: the picture whose SHA-256 is in POISON kills the process that opens
it, as a fault in a decoder or the out-of-memory killer would."""

import os
import signal

from diagnosis import analysis
from diagnosis.models import SmearImage

_wholesome = analysis.stored_bytes


def _deadly(image: SmearImage) -> bytes:
    if image.stored_sha256 == os.environ["POISON"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return _wholesome(image)


analysis.stored_bytes = _deadly
