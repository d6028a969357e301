"""Many decimal numbers at once: `-12.5e-3` is `-125 / 10^4`, a whole number and a power of ten.

Both are exact in float64 below 2^53 and up to 10^22, so the one division (or product) rounds correctly and gives the
float64 that is nearest to the text (W. Clinger, "How to read floating point numbers accurately", PLDI 1990). Whole
numbers are read several times faster than fractions; the few words beyond these limits are read one by one.
"""

from __future__ import annotations

import numpy as np

__all__ = ["parse_decimals"]

_TENS = np.array([float(f"1e{power}") for power in range(23)])
_EXACT = 2**53


def parse_decimals(text: str) -> np.ndarray | None:
    """The blank-separated numbers of `text` as float64 `[N]`; None where a word is no plain decimal number.

    A zero has no sign. Expects at least one word.
    """
    data = f" {text} ".encode()
    if data.translate(None, b"0123456789.+-eE \t\n"):
        return None
    chars = np.frombuffer(bytearray(data), dtype=np.uint8)
    letters, plus = np.flatnonzero(chars > ord("9")), np.flatnonzero(chars == ord("+"))
    # a plus stands in exponents only, between the letter and a digit
    if not ((chars[plus - 1] > ord("9")) & (chars[plus + 1] >= ord("0"))).all():
        return None
    chars[plus] = ord("0")
    chars[letters] = ord(" ")  # the exponent becomes a word of its own
    blank = chars <= ord(" ")
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    dots, minuses = np.flatnonzero(chars == ord(".")), np.flatnonzero(chars == ord("-"))
    dotted = np.searchsorted(ends, dots, side="right")  # the words with a dot
    last = chars[ends - 1]
    last = np.where(last == ord("."), chars[ends - 2], last)
    if (
        (last < ord("0")).any()  # a word without a digit
        or not blank[minuses - 1].all()  # a minus within a word
        or (dotted[1:] == dotted[:-1]).any()  # a second dot
    ):
        return None
    whole = np.fromstring(chars.tobytes().replace(b".", b""), dtype=np.int64, sep=" ")
    power = np.zeros(len(starts), dtype=np.int64)
    power[dotted] = dots + 1 - ends[dotted]
    if len(letters):
        own = np.searchsorted(starts, letters)  # the words that are exponents
        if not _belong(starts, ends, letters, own) or np.isin(own, dotted).any():
            return None
        power[own - 1] += np.clip(whole[own], -9999, 9999)
        ends[own - 1] = ends[own]
        starts, ends, whole, power = (np.delete(part, own) for part in (starts, ends, whole, power))
    values = whole / _TENS[np.clip(-power, 0, len(_TENS) - 1)]
    large = np.flatnonzero(power > 0)
    values[large] = whole[large] * _TENS[np.minimum(power[large], len(_TENS) - 1)]
    for word in np.flatnonzero((np.abs(power) >= len(_TENS)) | (whole > _EXACT) | (whole < -_EXACT)).tolist():
        values[word] = float(data[starts[word] : ends[word]])
    return values


def _belong(starts: np.ndarray, ends: np.ndarray, letters: np.ndarray, own: np.ndarray) -> bool:
    """Whether each letter at `letters` stands right between a word and the one that is its exponent, `own`."""
    return (
        own[-1] < len(starts)
        and bool((starts[own] == letters + 1).all() and (ends[own - 1] == letters).all())
        and bool((np.diff(own) > 1).all())  # else an exponent has an exponent
    )
