"""Many numbers at once: each the float64 nearest to its text, and nothing accepted that is no number."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpose.formats._decimals import parse_decimals
from graphpose.formats._text import parse_block

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
BLANKS = st.sampled_from([" ", "\n", "  ", "\t", " \n"])
PLAIN = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-400, 400).map(lambda value: f"{value:.6g}"),
    st.floats(-1e-3, 1e-3).map(lambda value: f"{value:.5e}"),
    st.integers(-(10**20), 10**20).map(str),
    st.from_regex(r"-?(\d{1,9}\.?\d{0,9}|\.\d{1,9})([eE][+-]?\d{1,3})?", fullmatch=True).filter(str.isascii),
)


@settings(max_examples=300, deadline=None)
@given(words=st.lists(PLAIN, min_size=1, max_size=8), blank=BLANKS)
def test_numbers_are_rounded_like_python_does(words: list[str], blank: str) -> None:
    expected = np.array([float(word) for word in words])
    values = parse_decimals(blank.join(words))
    assert values is not None and np.array_equal(values, expected)
    block = parse_block(blank.join(words))
    assert block is None if np.isinf(expected).any() else np.array_equal(block, expected)


@settings(max_examples=500, deadline=None)
@given(words=st.lists(st.text("0123456789.-+eE", min_size=1, max_size=6), min_size=1, max_size=4), blank=BLANKS)
def test_what_is_no_number_is_no_number(words: list[str], blank: str) -> None:
    values = parse_block(blank.join(words))
    if not all(NUMBER.fullmatch(word) for word in words):
        assert values is None or len(values) != len(words), "the count is what the readers compare"
    elif all(np.isfinite(float(word)) for word in words):
        assert np.array_equal(values, [float(word) for word in words])


@pytest.mark.parametrize(
    "word", [".", "-", "-.", "1-2", "1.2.3", "--1", "1e", "e5", "1e+", "1e5e3", "1e.5", "1_0", "nan", "x"]
)
def test_bad_words(word: str) -> None:
    for text in (word, f"1 {word} 2", f"{word}\n3"):
        assert parse_decimals(text) is None
        values = parse_block(text)
        assert values is None or len(values) != len(text.split())


def test_long_texts_are_read_in_pieces() -> None:
    rows = np.round(np.random.default_rng(0).normal(0, 90, (4000, 30)), 4)
    text = "\n".join(" ".join(map(repr, row)) for row in rows.tolist()) + "\n\n"
    assert np.array_equal(parse_block(text), rows.ravel())
    assert parse_block(" \n" * 100_000) is not None and parse_block("").shape == (0,)
