"""The trials of the CMU database: subject -> the numbers listed, by the index that B. Hahne compiled of CMU's in 2008.

109 subjects, 2,435 trials ("Carnegie-Mellon Graphics Lab Motion Capture Database, full file listing", v1.00, 20 July 2008,
cgspeed.com). Numbers run from 1 without a gap, but for subjects 40 and 41, which begin at 2. The server may hold
more; a trial that is listed may lack its AMC.
"""

from __future__ import annotations

__all__ = ["listed", "subject_name"]

_COUNTS = """
01:14 02:10 03:4 05:20 06:15 07:12 08:11 09:12 10:6 11:1 12:4 13:42 14:37 15:14 16:58 17:10 18:15 19:15 20:13 21:13
22:25 23:25 24:1 25:1 26:11 27:11 28:19 29:25 30:23 31:21 32:22 33:2 34:2 35:34 36:37 37:1 38:4 39:14 40:12 41:11
42:1 43:3 45:1 46:1 47:1 49:22 54:27 55:28 56:8 60:15 61:15 62:25 63:1 64:30 69:75 70:13 74:20 75:20 76:11 77:34
78:35 79:96 80:73 81:18 82:18 83:68 85:15 86:15 87:5 88:11 89:6 90:36 91:62 93:8 94:16 102:33 103:8 104:57 105:62
106:34 107:14 108:28 111:41 113:29 114:16 115:10 118:32 120:22 122:68 123:13 124:13 125:7 126:14 127:38 128:11
131:14 132:56 133:26 134:15 135:11 136:33 137:42 138:55 139:34 140:9 141:34 142:22 143:42 144:34
"""
_FROM_TWO = ("40", "41")
_LAST = {name: int(count) for name, count in (word.split(":") for word in _COUNTS.split())}


def listed() -> dict[str, tuple[int, ...]]:
    """Every subject, in order, with the numbers of its trials."""
    return {name: tuple(range(2 if name in _FROM_TWO else 1, last + 1)) for name, last in _LAST.items()}


def subject_name(word: str) -> str | None:
    """A subject as CMU writes it, at least two digits ("7" -> "07"); None when `word` is no number from 1 to 999."""
    return f"{int(word):02d}" if word.isascii() and word.isdigit() and 0 < int(word) < 1000 else None
