"""Smear images and model releases as rows and files, without the doors: for tests of what comes after intake."""

from __future__ import annotations

import hashlib
import io
import itertools

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image

from diagnosis.models import Case, ModelRelease, SmearImage
from mlcore.bundle import MALIGNANT, TASKS

_numbers = itertools.count(1)


def picture(seed: int, side: int = 64) -> bytes:
    """A PNG of noise, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_image(case: Case, *, kind: str = "cell", data: bytes | None = None) -> SmearImage:
    """A stored image of `case` with nobody asked about it yet."""
    number = next(_numbers)
    data = picture(number) if data is None else data
    digest = hashlib.sha256(data).hexdigest()
    name = f"tests/{number}-{digest[:16]}.png"
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(data))
    return SmearImage.objects.create(
        case=case,
        kind=kind,
        kind_source=SmearImage.KindSource.GIVEN,
        original_name=f"smear-{number}.png",
        received_sha256=hashlib.sha256(data + str(number).encode()).hexdigest(),
        stored_sha256=digest,
        file=name,
        format="PNG",
        received_format="PNG",
        byte_size=len(data),
        width=64,
        height=64,
        via=SmearImage.Via.COMMAND,
        uploaded_by=case.created_by,
    )


def make_release(
    task: str = "cell", network: str = "cnn", *, version: str = "1.0.0", stage: str = "active"
) -> ModelRelease:
    """A release whose bundle is not on disk."""
    return ModelRelease.objects.create(
        task=task,
        network=network,
        version=version,
        digest=hashlib.sha256(f"{task} {network} {version}".encode()).hexdigest(),
        bundle=f"{task}-{network}",
        stage=stage,
        card={"task": task, "network": network, "classes": list(TASKS[task]), "malignant": sorted(MALIGNANT[task])},
    )
