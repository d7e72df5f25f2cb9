"""Networks side by side: on the list, and in the figures of one release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnosis.models import ModelRelease
from diagnosis.web.releases.charts import known
from diagnosis.web.releases.evidence import Evidence, shown_of
from diagnosis.web.releases.figures import (
    FIGURES,
    GRADES,
    HEADLINE,
    NETWORKS,
    UNITS,
    Report,
    Shown,
    counted,
    groups_word,
    own_figures,
    shown,
)


def column(release: ModelRelease) -> dict[str, Any]:
    """A release on the list or beside another: its headline, on how many, how they were split."""

    def show(evidence: Evidence) -> dict[str, Any]:
        figures = own_figures(evidence.report)
        return {
            "release": release,
            "why": evidence.why,
            "data": data(evidence.report),
            "figures": {name: shown(figures.get(name), meaning.form) for name, meaning in FIGURES.items()},
        }

    return shown_of(release, show)


def headline_rows(columns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The headline with a cell for each of `columns`."""
    return [
        {"meaning": FIGURES[name], "cells": [column["figures"][name] for column in columns]}
        for name in HEADLINE
        if any(known(column["figures"][name].value) for column in columns)
    ]


def data(report: Report) -> dict[str, Any]:
    """On whom the figures rest."""
    found = report.get("data") or {}
    words, tone = GRADES.get(found.get("grade") or "", ("", ""))
    return {
        "images": counted(found.get("images")),
        "groups": counted(found.get("groups")),
        "unit": UNITS.get(report["identity"].get("task") or "", "pictures"),
        "group_word": groups_word(report, found.get("groups")),
        "grade": found.get("grade"),
        "grade_words": words,
        "grade_sentence": found.get("grade_words", ""),
        "tone": tone,
        "sign": {"calm": "✓", "doubt": "◆", "alarm": "▲"}.get(tone, ""),
    }


def comparison(release: ModelRelease, report: Report, siblings: Sequence[ModelRelease]) -> dict[str, Any] | None:
    """Every figure, the networks side by side: as its report has them on the same pictures, else those of the active
    releases by their own sources, with what each was measured on. None where nothing is stated of `release`."""
    own = own_figures(report)
    if not own:
        return None
    networks = {name: dict(line) for name, line in (report.get("networks") or {}).items() if line}
    networks.setdefault(release.network, {}).update(own)
    names = [release.network, *(name for name in (*NETWORKS, *networks) if name in networks)]
    names = list(dict.fromkeys(names))
    heads = [{"own": name == release.network, "title": NETWORKS.get(name, name)} for name in names]
    cells = [{each: shown(networks[name].get(each), FIGURES[each].form) for each in FIGURES} for name in names]
    measured = []
    if len(names) == 1:
        beside = [column(each) for each in siblings if each.network != release.network]
        heads += [{"own": False, "release": each["release"]} for each in beside]
        cells += [each["figures"] for each in beside]
        measured = [data(report), *(each["data"] for each in beside)] if beside else []
    rows = [
        {"meaning": meaning, "cells": list(zip(heads, figures, strict=True))}
        for each, meaning in FIGURES.items()
        for figures in ([line[each] for line in cells],)
        if any(map(_stated, figures))
    ]
    same, colour = len(names) > 1, "colour" in names
    return {"heads": heads, "rows": rows, "measured": measured, "same": same, "colour": colour}


def _stated(figure: Shown) -> bool:
    return known(figure.value) or bool(figure.why)
