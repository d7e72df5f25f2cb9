"""Small marks on the pages: icons, bars, pills, times and class names, all free of inline style.

`{% load marks %}`; every tag returns safe HTML built from escaped values.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django import template
from django.template.defaultfilters import date as format_date
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from accounts.permissions import Action, Actor
from diagnosis.assessment.words import FLAG_WORDS
from mlcore.reading import words

if TYPE_CHECKING:
    from diagnosis.models import Case

register = template.Library()

#: Strokes on a 24 × 24 grid.
ICONS = {
    "arrow-left": '<path d="M15 5l-7 7 7 7"/>',
    "arrow-right": '<path d="M9 5l7 7-7 7"/>',
    "back": '<path d="M20 12H4M10 6l-6 6 6 6"/>',
    "bell": '<path d="M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 2h-15z"/><path d="M10 21h4"/>',
    "beside": '<rect x="3" y="5" width="8" height="14" rx="1.5"/><rect x="13" y="5" width="8" height="14" rx="1.5"/>',
    "check": '<path d="M5 12.5l4.5 4.5L19 7"/>',
    "clock": '<circle cx="12" cy="12" r="8.5"/><path d="M12 7.5V12l3 2"/>',
    "close": '<path d="M6 6l12 12M18 6L6 18"/>',
    "drop": '<path d="M12 15V4M7.5 8.5L12 4l4.5 4.5"/><path d="M4 14v4a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-4"/>',
    "field": '<circle cx="12" cy="12" r="9"/><circle cx="9" cy="10" r="2"/><circle cx="15.5" cy="9.5" r="1.5"/>'
    '<circle cx="13" cy="15.5" r="2"/>',
    "fit": '<path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"/>',
    "folder": '<path d="M3 7a2 2 0 0 1 2-2h4l2 2.5h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z"/>',
    "heat": '<path d="M12 3c1 4 5 5.5 5 10a5 5 0 0 1-10 0c0-2 1-3 2-4 .5 1.5 1 2 2 2 0-3-1-5 1-8z"/>',
    "image": '<rect x="3.5" y="4.5" width="17" height="15" rx="2"/><circle cx="9" cy="10" r="1.7"/>'
    '<path d="M4 17l5-4.5 3.5 3L16 12l4.5 4.5"/>',
    "key": '<circle cx="8" cy="15" r="4"/><path d="M11 12l8-8M16 7l3 3"/>',
    "keyboard": '<rect x="2.5" y="6" width="19" height="12" rx="2"/>'
    '<path d="M6 10h.01M10 10h.01M14 10h.01M18 10h.01M8 14h8"/>',
    "label": '<rect x="3.5" y="5.5" width="17" height="13" rx="1.5"/><path d="M7 9v6M9.500 9v6M12 9v6M14 9v6M17 9v6"/>',
    "menu": '<path d="M4 7h16M4 12h16M4 17h16"/>',
    "mirror": '<path d="M12 3v18M9 7 3 17h6zM15 7l6 10h-6z"/>',
    "minus": '<path d="M5 12h14"/>',
    "moon": '<path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z"/>',
    "network": '<circle cx="5" cy="12" r="2"/><circle cx="19" cy="6" r="2"/><circle cx="19" cy="18" r="2"/>'
    '<circle cx="12" cy="12" r="2"/><path d="M7 12h3M13.8 11l3.5-4M13.8 13l3.5 4"/>',
    "out": '<path d="M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M10 8l-4 4 4 4M6 12h9"/>',
    "people": '<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20c0-3.5 3-6 6.5-6s6.5 2.5 6.5 6M16 5a3.5 3.5 0 0 1 0 6.5'
    'M18 14.5c2.2.8 3.5 2.8 3.5 5.5"/>',
    "person": '<circle cx="12" cy="8" r="4"/><path d="M4.5 20.5c0-4 3.4-6.5 7.5-6.5s7.5 2.5 7.5 6.5"/>',
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "retry": '<path d="M20 11a8 8 0 1 0-2.3 6.200M20 4v7h-7"/>',
    "ruler": '<path d="M3 15.5L15.5 3 21 8.5 8.500 21z"/><path d="M7 11.500l2 2M10 8.500l3 3M13 5.500l2 2"/>',
    "scales": '<path d="M12 4v16M7.5 20h9M5 7h14M5 7l-2.5 6.500h5zM19 7l-2.5 6.500h5z"/>',
    "search": '<circle cx="11" cy="11" r="6.5"/><path d="M16 16l4.5 4.5"/>',
    "shield": '<path d="M12 3l8 3v6c0 4.5-3.3 7.8-8 9-4.7-1.2-8-4.5-8-9V6z"/><path d="M8.5 12l2.5 2.5 4.5-5"/>',
    "slide": '<rect x="3" y="7.5" width="18" height="9" rx="1.5"/><path d="M8 7.5v9"/>'
    '<circle cx="14.5" cy="12" r="2"/>',
    "sun": '<circle cx="12" cy="12" r="4"/><path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4'
    'M17.3 17.3l1.4 1.400M18.7 5.3l-1.4 1.400M6.7 17.3l-1.4 1.4"/>',
    "turn": '<path d="M19.5 12a7.5 7.5 0 1 1-2.4-5.5"/><path d="M19.5 3v4.500h-4.500"/>',
    "warning": '<path d="M12 4l9 16H3z"/><path d="M12 10v4.5M12 17.3v.2"/>',
}

#: Level of a flag → (sign, CSS class, word); a colour never stands alone.
SIGNS = {
    "alarm": ("▲", "alarm", "Alarm"),
    "doubt": ("◆", "doubt", "Doubt"),
    "info": ("●", "", "Note"),
    "calm": ("✓", "calm", "Fine"),
}


@register.filter
def flag_words(flag: dict[str, Any]) -> str:
    return FLAG_WORDS.get(flag["code"], flag["title"])


@register.filter
def flag_name(code: str) -> str:
    return FLAG_WORDS.get(code, code)


@register.simple_tag
def icon(name: str) -> SafeString:
    """A decorative line icon; the words beside it carry the meaning."""
    return mark_safe(  # noqa: S308 -- from the table above, never from a request
        '<svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.8"'
        f' stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{ICONS[name]}</svg>'
    )


@register.filter
def may(actor: Actor | None, action: str) -> bool:
    """Whether the actor may do `Action[action]`; pages hide what its view would refuse."""
    return actor is not None and actor.may(Action[action])


@register.filter
def percent(value: float | None, digits: int = 0) -> str:
    """A share: 0.9731 → "97 %", with one digit "97.3 %"; None → "–"."""
    return "–" if value is None else f"{value * 100:.{digits}f} %"


@register.filter
def chance(value: float | None) -> str:
    """A probability in whole per cent that is never called certain: 1.0 → "> 99 %", 0.001 → "< 1 %"."""
    if value is None:
        return "–"
    return "> 99 %" if value > 0.99 else "< 1 %" if value < 0.01 else f"{value * 100:.0f} %"


@register.filter
def interval(ends: dict[str, float]) -> str:
    """`{"low", "high"}` of a probability → "91 % to 99 %", or one word where both ends read the same."""
    low, high = chance(ends["low"]), chance(ends["high"])
    return low if low == high else f"{low} to {high}"


@register.filter
def hundred(value: float, offset: float = 0.0) -> str:
    """0.31 → "31.0": a share as a length on a drawing 100 wide."""
    return f"{value * 100 + offset:.1f}"


@register.filter
def span(low: float, high: float) -> str:
    """The length between two shares on a drawing 100 wide, never so short that it cannot be seen."""
    return f"{max(1.0, (high - low) * 100):.1f}"


@register.filter
def item(mapping: dict[Any, Any], key: object) -> Any:
    return mapping.get(key, "?")


@register.filter
def class_name(label: str) -> str:
    """`immature_granulocyte` → "Immature granulocyte", `pre_b` → "Pre-B"."""
    said = words(label)
    return said[:1].upper() + said[1:]


@register.filter
def network_name(network: str) -> str:
    return {"cnn": "CNN", "mobilenet": "MobileNet"}.get(network, network)


@register.filter
def tone(malignant: float | None) -> str:
    """The colour class of a probability of blood cancer; the number always stands beside it."""
    if malignant is None:
        return ""
    return "alarm" if malignant >= 0.5 else "doubt" if malignant >= 0.2 else "calm"


@register.simple_tag
def bar(value: float | None, tone: str = "") -> SafeString:
    """A bar of length `value` (0–1). Decorative: the number stands beside it."""
    length = max(0.0, min(1.0, value or 0.0)) * 100
    return format_html(
        '<svg class="bar {}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="value" width="{}" height="8"></rect></svg>',
        tone,
        f"{length:.1f}",
    )


@register.simple_tag
def sign(level: str) -> SafeString:
    """The sign of a flag's level with its word for those who hear the page."""
    mark, _, word = SIGNS.get(level, SIGNS["info"])
    return format_html(
        '<span class="sign"><span aria-hidden="true">{}</span><span class="visually-hidden">{}: </span></span>',
        mark,
        word,
    )


@register.filter
def level_class(level: str) -> str:
    return SIGNS.get(level, SIGNS["info"])[1]


def ago(moment: datetime, now: datetime) -> str:
    """A short relative time: "just now", "12 min ago", "3 h ago", "5 days ago"."""
    gone = now - moment
    if gone < timedelta(minutes=1):
        return "just now"
    if gone < timedelta(hours=1):
        return f"{int(gone.total_seconds() // 60)} min ago"
    if gone < timedelta(days=1):
        return f"{int(gone.total_seconds() // 3600)} h ago"
    return f"{gone.days} day{'s' if gone.days > 1 else ''} ago"


@register.simple_tag
def since(moment: datetime | None) -> SafeString | str:
    """Relative time to read, exact time on the spot for the pointer and for machines."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        format_date(local, "j F Y, H:i:s"),
        ago(moment, timezone.now()),
    )


@register.filter
def exact(moment: datetime | None) -> str:
    return format_date(timezone.localtime(moment), "j M Y, H:i") if moment else "–"


@register.filter
def day_and_time(moment: datetime | None) -> str:
    """Without the year, for what is of these days: "25 Nov, 11:38"."""
    return format_date(timezone.localtime(moment), "j M, H:i") if moment else "–"


def lasting(seconds: float) -> str:
    """A length of time in at most two units: "under a minute", "18 min", "2 h 12 min", "1 day 4 h", "5 days"."""
    minutes = int(abs(seconds) // 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if minutes < 1:
        return "under a minute"
    if days:
        named = f"{days} day{'s' if days > 1 else ''}"
        return f"{named} {hours} h" if hours and days < 3 else named
    return " ".join(filter(None, [f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else ""]))


@register.simple_tag
def clock(case: Case, left_word: str = "") -> SafeString:
    """What is left of the time in which a case should be signed, or by how much it is late; its end on the spot.

    `left_word` stands behind what is left, where no heading says so.
    """
    if case.is_closed:
        return format_html('<span class="clock">{}</span>', since(case.signed_at))
    left = (case.due_at - timezone.now()).total_seconds()
    tone, mark = ("alarm", "▲") if left < 0 else ("doubt", "◆") if left < 3600 else ("", "")
    return format_html(
        '<time class="clock {}" datetime="{}" title="Due {}">{}{}{}</time>',
        f"{tone}-text" if tone else "",
        case.due_at.isoformat(),
        format_date(timezone.localtime(case.due_at), "j F Y, H:i"),
        format_html('<span aria-hidden="true">{} </span>', mark) if mark else "",
        lasting(left),
        " late" if left < 0 else left_word,
    )


@register.filter
def thousands(count: int | None) -> str:
    """2222188 → "2,222,188"."""
    return "–" if count is None else f"{count:,}"


@register.filter
def points(value: float, bare: str = "") -> str:
    """A difference of shares: 0.053 → "+5.3 points", bare "+5.3"."""
    return f"{value * 100:+.1f}{'' if bare else ' points'}".replace("-", "−")


@register.filter
def lasted(duration: timedelta | None) -> str:
    return "–" if duration is None else lasting(duration.total_seconds())


@register.filter
def megabytes(size: int) -> str:
    """Bytes in the units of a file manager: "64 MB", "1.5 MB", "17 kB"."""
    if size < 100 * 1024:
        return f"{max(1, round(size / 1024))} kB"
    return f"{size / 1024**2:.1f}".removesuffix(".0") + " MB"


@register.filter
def initials(name: str) -> str:
    parts = [part for part in str(name).replace("@", " ").split() if part]
    return "".join(part[0] for part in (parts[:1] + parts[-1:] if len(parts) > 1 else parts)).upper() or "?"
