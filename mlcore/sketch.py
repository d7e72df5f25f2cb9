"""A few hashes by which the pictures of a training are known again, in whole or in part.

Kept are the smallest SHA-256 of its files (a bottom-k sketch, Broder 1997): which ones those are is as good as chance,
so the share of them that other pictures hold tells how many of the training's are among these.
"""

from __future__ import annotations

from collections.abc import Iterable

SIZE = 256
DIGITS = 12  # hexadecimal, of each hash


def sketch(hashes: Iterable[str]) -> list[str]:
    """The SIZE smallest of SHA-256 in hex, shortened and in order; all of them where there are fewer."""
    return sorted({sha256[:DIGITS] for sha256 in hashes})[:SIZE]


def share_known(kept: list[str], hashes: Iterable[str]) -> float:
    """Which share of the files with these SHA-256 the sketch `kept` comes from, 0..1; 0 where it cannot tell."""
    largest = kept[-1] if len(kept) == SIZE else "g"  # beyond every digit: a smaller sketch holds every hash
    told = {sha256[:DIGITS] for sha256 in hashes if sha256[:DIGITS] <= largest}
    return len(told & set(kept)) / len(told) if told else 0.0
