"""What this server can do: the CapabilityStatement of `/metadata`, which anybody may read."""

from __future__ import annotations

from diagnosis.fhir import media, observations, parts, patients, reports
from diagnosis.fhir.parts import Body
from diagnosis.fhir.searching import COUNT, COUNT_MAX, SUMMARIES, links

TYPES = (patients, reports, observations, media)
_DOCUMENTATION = {
    observations.TYPE: "A search names at least one of " + ", ".join(observations.NAMED) + ".",
    reports.TYPE: "One for each case. presentedForm links the signed PDF.",
}


def _along(kind: str) -> Body:
    """What can come with a search of the type."""
    along = {
        "searchInclude": ["*", *map(str, links(kind))] if links(kind) else [],
        "searchRevInclude": [str(link) for link in links(kind, reverse=True)],
    }
    return parts.filled(along)


def statement(base: str) -> Body:
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-29",
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
                        **_along(module.TYPE),
                        "searchParam": [
                            {"name": name, "type": param.kind, "documentation": param.says}
                            for name, param in module.PARAMS.items()
                        ],
                    }
                    for module in TYPES
                ]
                + [{"type": "Binary", "documentation": "The signed PDF.", "interaction": [{"code": "read"}]}],
                "searchParam": [
                    {"name": "_count", "type": "number", "documentation": f"{COUNT} unless told, at most {COUNT_MAX}."},
                    {
                        "name": "_elements",
                        "type": "string",
                        "documentation": "Names of elements by comma; of reads too.",
                    },
                    {"name": "_summary", "type": "token", "documentation": f"{', '.join(SUMMARIES)}; of reads too."},
                ],
            }
        ],
    }
