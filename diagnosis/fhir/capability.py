"""What this server can do: the CapabilityStatement of `/metadata`, which anybody may read."""

from __future__ import annotations

from diagnosis.fhir import media, observations, parts, patients, reports
from diagnosis.fhir.parts import Body

TYPES = (patients, reports, observations, media)
_DOCUMENTATION = {
    observations.TYPE: "A search names at least one of " + ", ".join(observations.NAMED) + ".",
    reports.TYPE: "One for each case. presentedForm links the signed PDF.",
}


def statement(base: str) -> Body:
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-25",
        "publisher": "LeukoLens",
        "kind": "instance",
        "software": {"name": "LeukoLens", "version": parts.VERSION},
        "implementation": {
            "description": "Blood smears, what networks read in them and what pathologists sign. Research use only – "
            "not for diagnostic use.",
            "url": base,
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": "Read only. Parameters that are not supported are refused, unless the request says "
                "“Prefer: handling=lenient”.",
                "security": {
                    "cors": False,
                    "description": "A token made on the tokens page with the scope cases:read, as “Authorization: "
                    "Bearer …”. It opens the data of one laboratory.",
                },
                "resource": [
                    {
                        "type": module.TYPE,
                        **({"documentation": _DOCUMENTATION[module.TYPE]} if module.TYPE in _DOCUMENTATION else {}),
                        "interaction": [{"code": "read"}, {"code": "search-type"}],
                        "versioning": "versioned",
                        "conditionalRead": "full-support",
                        "searchParam": [
                            {"name": name, "type": param.kind, "documentation": param.says}
                            for name, param in module.PARAMS.items()
                        ],
                    }
                    for module in TYPES
                ]
                + [{"type": "Binary", "documentation": "The signed PDF.", "interaction": [{"code": "read"}]}],
            }
        ],
    }
