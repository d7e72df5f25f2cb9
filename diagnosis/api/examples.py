"""Examples that stand in the schema."""

from drf_spectacular.utils import OpenApiExample

from diagnosis.api import RESEARCH_USE_ONLY

_CLASSES = ("basophil", "eosinophil", "erythroblast", "immature_granulocyte", "lymphocyte", "monocyte", "neutrophil",
            "plasma_cell", "platelet", "promyelocyte", "smudge_cell")  # fmt: skip


def _opinion(pk: int, network: str, blast: float, digest: str) -> dict[str, object]:
    rest = round((1 - blast) / len(_CLASSES), 4)
    return {
        "id": pk,
        "task": "cell",
        "network": network,
        "version": "1.0",
        "digest": digest * 64,
        "state": "done",
        "probabilities": {"blast": blast, **dict.fromkeys(_CLASSES, rest)},
        "malignant": round(blast + rest, 4),
        "novelty": 0.21,
        "novel": False,
        "engine": "onnxruntime",
        "seconds": 0.012,
        "attempts": 1,
        "error": "",
        "queued_at": "2026-03-02T09:30:01Z",
        "started_at": "2026-03-02T09:30:01Z",
        "finished_at": "2026-03-02T09:30:02Z",
    }


IMAGE_EXAMPLE = OpenApiExample(
    "A cell that both networks call a blast",
    response_only=True,
    status_codes=["200"],
    value={
        "id": 7,
        "case": 3,
        "kind": "cell",
        "kind_source": "told",
        "kind_confidence": 0.99,
        "name": "cell-07.png",
        "sha256": "a" * 64,
        "stored_sha256": "b" * 64,
        "format": "PNG",
        "received_format": "PNG",
        "byte_size": 48_213,
        "width": 192,
        "height": 192,
        "um_per_pixel": 0.1,
        "quality": {
            "focus": 12.1, "brightness": 0.71, "contrast": 0.18, "saturation": 0.24, "stained": 0.31, "warnings": [],
        },
        "seen_in_other_case": False,
        "via": "api",
        "uploaded_by": "Tess Technician",
        "uploaded_at": "2026-03-02T09:30:00Z",
        "file": "https://leukolens.example/api/v1/images/7/file/",
        "status": "done",
        "analyses": [_opinion(13, "cnn", 0.95, "c"), _opinion(14, "mobilenet", 0.97, "d")],
        "reading": {
            "label": "blast", "probability": 0.96, "malignant": 0.96, "agree": True, "novelty": 0.21,
            "warnings": [], "needs_person": False,
        },
        "decision": None,
        "research_use_only": RESEARCH_USE_ONLY,
    },
)  # fmt: skip
