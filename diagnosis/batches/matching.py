"""Which case a file belongs to, told from its name and folders, or by the text of a code.

A laboratory may say how its accession numbers look, one *mask* a line: `#` a digit, `@` a letter, `#+` and `@+` one
or more of them, all else stands for itself. A separator in a mask (`-`, `_`, `/`, `.`, space) may be another one or
none in the name, as a file's name cannot hold every character: `S##-####` finds S26-0123 in "s26_0123 field 4.jpg".

Without masks, every part of the name that has letters and digits is looked up among the laboratory's cases. A number
of digits alone is not: a counter or a date of the camera would bring pictures to the wrong patient.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models.functions import Upper

from accounts.models import Laboratory
from diagnosis.models import Case

SEPARATORS = "-_/. "
MASKS_AT_MOST = 10
_LONGEST_MASK = 64
_LONGEST_RUN = 20  # digits or letters that "#+" and "@+" take
_WORDS_AT_MOST = 12  # parts of one folder's or file's name that are looked at without masks
_LEVELS_AT_MOST = 8
_SHORTEST = 4


class MaskError(ValueError):
    """A mask that cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Mask:
    text: str
    pattern: re.Pattern[str]
    parts: tuple[str, ...]  # of the mask: placeholders with their sign, and separators and words between

    def accession(self, found: re.Match[str]) -> str:
        """The number as the laboratory writes it: separators as the mask has them."""
        placed = iter(found.groups())
        return "".join(next(placed) if part[0] in "#@" else part for part in self.parts).upper()


@dataclass(frozen=True, slots=True)
class Match:
    """`case`: None where `reason` (a sentence) says why. `accession`: what was found in the name.

    With a case, `reason` says what led there, where that was not the name.
    """

    case: Case | None
    accession: str = ""
    reason: str = ""


NOTHING_FOUND = "No accession number was found in its name or folder."
BY_CODE = "Its case was found by the code in the picture."


def read_masks(text: str) -> list[Mask]:
    """The masks of a settings text, one a line. Raises `MaskError`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MASKS_AT_MOST:
        raise MaskError(f"At most {MASKS_AT_MOST} masks are used; these are {len(lines)}.")
    return [_mask(line) for line in lines]


def _mask(line: str) -> Mask:
    if len(line) > _LONGEST_MASK:
        raise MaskError(f"The mask “{line[:20]}…” is longer than {_LONGEST_MASK} characters.")
    if "#" not in line:
        raise MaskError(f"The mask “{line}” has no # for a digit: it would find the same case in every name.")
    parts = tuple(re.findall(r"[#@]\+|[#@]|[^#@]", line))
    signs = [(first, second) for first, second in itertools.pairwise(parts) if first[0] in "#@"]
    if any(first[0] == second[0] and "+" in first + second for first, second in signs):
        raise MaskError(f"In “{line}” a + stands beside another sign of its kind: nobody can say where one ends.")
    expression = "".join(_expression(part, before) for before, part in itertools.pairwise(("", *parts)))
    return Mask(line, re.compile(_BEGIN + expression + _END, re.IGNORECASE), parts)


_BEGIN, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"


def _expression(part: str, before: str) -> str:
    if part[0] in "#@":
        one = "[0-9]" if part[0] == "#" else "[A-Za-z]"
        return f"({one}{{1,{_LONGEST_RUN}}})" if part.endswith("+") else f"({one})"
    if part in SEPARATORS:  # behind a run of any length it has to stand there, or the run would swallow what follows
        return "[-_/. ]" if before.endswith("+") else "[-_/. ]?"
    return re.escape(part)


def find(*, laboratory: Laboratory, path: str, masks: Sequence[Mask]) -> Match:
    """The one case that `path` ("folder/name.jpg") names; none where it names none, or two different ones."""
    levels = _levels(path)
    if masks:
        hits = ((mask, hit) for mask in masks for level in levels for hit in mask.pattern.finditer(level))
        written = list(dict.fromkeys(mask.accession(hit) for mask, hit in hits))
        found = list(_cases(laboratory, written))
    else:
        written = []
        found = _by_words(laboratory, levels)
    if len(found) > 1:
        first, second = found[:2]
        return Match(None, "", f"Its name and folders name two cases, {first} and {second}. Say which one it is.")
    if found:
        return Match(found[0], found[0].accession_number)
    if written:
        return Match(None, written[0], f"There is no case {written[0]} yet. Open it, or choose another.")
    return Match(None, "", NOTHING_FOUND)


def by_accession(*, laboratory: Laboratory, accession: str) -> Match:
    """The case of a number that a person, a manifest or a client gave."""
    accession = _seen(accession)
    case = next(iter(_cases(laboratory, [accession])), None)
    reason = "" if case else f"There is no case {accession} yet. Open it, or choose another."
    return Match(case, case.accession_number if case else accession[:64], reason)


def by_codes(*, laboratory: Laboratory, texts: Sequence[str], masks: Sequence[Mask]) -> Match:
    """The one case that the codes in a picture name, each read as `scanned` reads it; short ones count for nothing."""
    found: list[Case] = []
    written: list[str] = []
    for text in texts:
        cases, numbers = _coded(laboratory, text, masks) if len(text) >= _SHORTEST else ([], [])
        found += cases
        written += numbers
    found = list({case.pk: case for case in found}.values())
    if len(found) > 1:
        first, second = sorted(found[:2], key=str)
        return Match(None, "", f"The codes in the picture name two cases, {first} and {second}. Say which one it is.")
    for number in written:
        if found and number.upper() != found[0].accession_number.upper():
            reason = f"The codes in the picture say {found[0]} and {number}. Say which one it is."
            return Match(None, "", reason)
    if found:
        return Match(found[0], found[0].accession_number, BY_CODE)
    if written:
        reason = f"The code in the picture says {written[0]}. There is no such case yet: open it."
        return Match(None, written[0], reason)
    return Match(None, "", f"{NOTHING_FOUND} The code in the picture, “{texts[0][:40]}”, is none either.")


def scanned(*, laboratory: Laboratory, text: str, masks: Sequence[Mask]) -> Match:
    """The case of what a person typed or a hand scanner sent.

    The number alone, or with the mark of its symbology ("]C1") and signs that a scanner sets around it, or with more
    that belongs to the label ("S26-0123;2"): for the last the laboratory has to have said how its numbers look.
    """
    cases, written = _coded(laboratory, text, masks)
    if len(cases) > 1:
        return Match(None, "", f"“{text[:40]}” names two cases, {cases[0]} and {cases[1]}. Type the one that is meant.")
    return by_accession(laboratory=laboratory, accession=str(cases[0]) if cases else (written or [text])[0])


def _seen(text: str) -> str:
    """One line of characters that can be seen: scanners and clients send others too."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


#: What a scanner may say of the kind of code before its text (ISO/IEC 15424).
_AIM = re.compile(r"^\][A-Za-z][0-9A-Za-z]")


def _coded(laboratory: Laboratory, text: str, masks: Sequence[Mask]) -> tuple[list[Case], list[str]]:
    """The cases that a code's text names, and what of it looks like a number of the laboratory."""
    text = _seen(text)
    bare = _AIM.sub("", text)
    for spelling in dict.fromkeys((text, bare, re.sub(r"^\W+|\W+$", "", bare))):
        if cases := list(_cases(laboratory, [spelling])):
            return cases, [spelling]
    written = list(dict.fromkeys(mask.accession(hit) for mask in masks for hit in mask.pattern.finditer(bare)))
    return list(_cases(laboratory, written)), written


def _levels(path: str) -> list[str]:
    """Folders and name, the name first and without its ending."""
    *folders, name = [part for part in path.split("/") if part]
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name)
    return [stem, *reversed(folders)][:_LEVELS_AT_MOST]


def _cases(laboratory: Laboratory, accessions: Iterable[str]) -> Iterable[Case]:
    wanted = {accession.upper() for accession in accessions if accession}
    if not wanted:
        return ()
    cases = Case.objects.filter(laboratory=laboratory).annotate(upper=Upper("accession_number"))
    return cases.filter(upper__in=wanted).order_by("id")[:20]


def _by_words(laboratory: Laboratory, levels: Sequence[str]) -> list[Case]:
    """Cases whose number stands in a name as a run of whole words; of runs within one another the longest counts."""
    spelled: dict[str, list[tuple[int, int, int]]] = {}  # number in capitals → (level, first word, last word)
    for number, level in enumerate(levels):
        words = re.split(f"([{re.escape(SEPARATORS)}]+)", level)[: 2 * _WORDS_AT_MOST - 1]
        for first, last in itertools.combinations_with_replacement(range(0, len(words), 2), 2):
            run = "".join(words[first : last + 1])
            if len(run) < _SHORTEST or not (re.search("[0-9]", run) and re.search("[A-Za-z]", run)):
                continue
            for spelling in _spellings(words[first : last + 1]):
                spelled.setdefault(spelling.upper(), []).append((number, first, last))
    found: list[tuple[Case, tuple[int, int, int]]] = []
    names = list(spelled)
    for start in range(0, len(names), 500):
        for case in _cases(laboratory, names[start : start + 500]):
            found += [(case, place) for place in spelled[case.accession_number.upper()]]
    kept = [
        case
        for case, (level, first, last) in found
        if not any(
            level == other[0] and other[1] <= first and last <= other[2] and (first, last) != other[1:]
            for _, other in found
        )
    ]
    return list({case.pk: case for case in kept}.values())


def _spellings(words: Sequence[str]) -> Iterable[str]:
    """A run of words with their separators as they stand, and with each that the number may have instead.

    Digits are never pushed together: "S26-012_3" is the third picture of S26-012, not S26-0123.
    """
    parts, between = words[::2], words[1::2]
    yield "".join(words)
    options = [
        ["-", "/", "_", ".", " "] + ([] if left[-1:].isdigit() and right[:1].isdigit() else [""])
        for left, right in itertools.pairwise(parts)
    ]
    chosen = itertools.product(*options) if len(between) <= 2 else ([sign] * len(between) for sign in "-/_. ")
    for signs in chosen:
        yield "".join(itertools.chain.from_iterable(itertools.zip_longest(parts, signs, fillvalue="")))
