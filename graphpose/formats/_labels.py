"""Subject, action and tags of a clip from the path of its file, by a pattern of the user's."""

from __future__ import annotations

import re
from pathlib import Path

from graphpose.errors import ConfigError, FormatError
from graphpose.motion.clip import MotionClip

__all__ = ["compile_pattern", "label"]


def compile_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """The compiled pattern; raises `ConfigError` when it is no regular expression or names no group."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as fault:
        raise ConfigError(f"name_pattern {pattern!r} is not a regular expression: {fault}") from None
    if not compiled.groupindex:
        raise ConfigError(f"expected named groups in name_pattern, such as (?P<subject>[^_]+) (got {pattern!r})")
    return compiled


def label(clip: MotionClip, path: Path, pattern: re.Pattern[str] | None, *, alone: bool = False) -> MotionClip:
    """The clip with the pattern's groups: `subject` and `action` as such, all others as tags.

    The pattern is searched in the clip's own name where the file holds several clips, else (`alone`: its format never
    does) in the path with forward slashes.
    """
    if pattern is None:
        return clip
    text = path.as_posix() if alone or clip.name == path.stem else clip.name
    match = pattern.search(text)
    if match is None:
        raise FormatError(path, f"name_pattern {pattern.pattern!r} does not match {text!r}")
    groups = {name: value for name, value in match.groupdict().items() if value is not None}
    subject, action = groups.pop("subject", clip.subject), groups.pop("action", clip.action)
    return clip.replace(subject=subject, action=action, tags={**clip.tags, **groups})
