"""From words to checked arguments: a jsonargparse parser for a command, shorthands, and one-line usage errors."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from graphpose.cli.discovery import Command
from graphpose.errors import nearest, unknown_name
from graphpose.structured import field_paths

__all__ = ["UsageError", "add_settings", "given", "parse"]


_KINDS = {
    "list": "a list such as [a, b]",
    "tuple": "a list such as [1, 2]",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "dict": "a mapping such as {a: 1}",
    "NoneType": "null",
}


class UsageError(Exception):
    """Words that are no valid command line; the message says what was expected."""


def add_settings(
    parser: ArgumentParser, sections: Mapping[str, type], *, defaults: Mapping[str, object] | None = None
) -> None:
    """Gives `parser` one typed option a field of each config class, e.g. `--data.frames` for `{"data": DataConfig}`.

    Args:
        parser: gets them.
        sections: the config class of each section.
        defaults: of a section, what holds where an option is left out and that is not the value in the class: settings of
            that class, or words.
    """
    for section, config in sections.items():
        parser.add_class_arguments(config, section)
    groups = {path.rpartition(".")[0] for name, config in sections.items() for path in field_paths(config, f"{name}.")}
    for action in parser._actions:
        if action.dest == "data":
            action.metavar, action.help = (
                "PATH",
                "short for --data.paths: a file, archive or folder; repeat for several",
            )
        elif action.dest in groups:  # the option that reads a whole section from a file; --config does that
            action.help = argparse.SUPPRESS
        elif action.dest.partition(".")[0] in sections:
            action.help = f"{action.help} (type: %(type)s, default: {_default(action.dest, defaults or {})})"


def _default(name: str, defaults: Mapping[str, object]) -> str:
    """What the help says of an option that is left out, `%(default)s` for the value in its class."""
    section, *path = name.split(".")
    value = defaults.get(section, "%(default)s")
    if isinstance(value, str):
        return value
    for key in path:
        value = getattr(value, key)
    return "null" if value is None else str(value)


def given(args: Namespace, sections: Sequence[str]) -> dict[str, Any]:
    """The settings that stand on the command line, as nested dictionaries (nothing for those left out)."""
    values = args.as_dict()
    return {section: values[section] for section in sections if values.get(section)}


def parse(command: Command, words: Sequence[str]) -> Namespace:
    """The arguments given, checked; what was not given is absent.

    Raises:
        UsageError: an unknown option (with the nearest right one), a value of a wrong type, an argument too few or
            too many.
        SystemExit: after --help.
    """
    parser = ArgumentParser(
        prog=f"graphpose {command.name}",
        description=command.text,
        formatter_class=_Formatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    expanded = list(_expand(words, command.shorthands))
    _refuse_contradictions(expanded, command.shorthands)
    try:
        return parser.parse_args(expanded, defaults=False)
    except argparse.ArgumentError as error:
        raise UsageError(_one_line(str(error), expanded, parser, command)) from error


class _Formatter(DefaultHelpFormatter):
    """Keeps the line breaks of the description, which holds example commands; says one default of an option, once."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if "default: " in text:
            return text
        if action.default is None or action.default is False:  # left out, nothing happens: that is no default to tell
            return text
        return super()._get_help_string(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())


def _expand(words: Sequence[str], shorthands: Mapping[str, str]) -> Iterator[str]:
    """The words with shorthands written out: `--data X` and `--data=X` become `--data.paths+=X`."""
    waiting = ""
    for word in words:
        option, equals, value = word.partition("=")
        if waiting:
            yield f"{waiting}={word}"
            waiting = ""
        elif option in shorthands and equals:
            yield f"{shorthands[option]}={value}"
        elif option in shorthands:
            waiting = shorthands[option]
        else:
            yield word
    if waiting:
        short = next(name for name, full in shorthands.items() if full == waiting)
        raise UsageError(f"{short}: expected a value")


def _refuse_contradictions(words: Sequence[str], shorthands: Mapping[str, str]) -> None:
    """Refuses a setting that is given two values by its two names, of which the parser would keep the last."""
    for short, full in shorthands.items():
        option = full.rstrip("+")
        values = [value for i, word in enumerate(words) for value in _values(word, words[i + 1 : i + 2], option)]
        lists = full != option  # --data X --data Y collects, but --data.paths [X] replaces what was collected
        mixed = lists and len(values) > 0 and any(word.startswith(f"{full}=") for word in words)
        if mixed:
            raise UsageError(f"{short} is short for {option}: expected one of them, not both")
        if len(set(values)) > 1:
            shown = " and ".join(dict.fromkeys(values))
            raise UsageError(f"{short}, short for {option}: expected one value (got {shown})")


def _values(word: str, following: Sequence[str], option: str) -> Sequence[str]:
    """What the word sets `option` to: nothing, or one value, its own or the following word."""
    if word == option:
        return following
    return [word.partition("=")[2]] if word.startswith(f"{option}=") else []


def _plain_type(option: str, text: str) -> str:
    """The parser's "Expected a <class 'int'>. Got value: x" in the words of the other errors."""
    single = re.fullmatch(r"Expected an? (.*?)\. Got value: (.*)", text)
    union = re.fullmatch(r".*?Subtypes: \[(.*)\] Errors: .* Given value: (.*)", text)
    found = single or union
    if found is None:
        return text
    listed = re.fullmatch(r"typing\.Literal\[(.*)\]", found[1])
    if listed is not None:
        return unknown_name(option.rpartition(".")[2], found[2], re.findall(r"'(.*?)'", listed[1]))
    words = found[1].replace("typing.", "").replace("Literal[", "one of [").replace("list[str]", _KINDS["list"])
    if union is not None:
        words = re.sub(r", (?=<|one of)", " or ", words).replace(f", {_KINDS['list']}", f" or {_KINDS['list']}")
    for name, kind in _KINDS.items():
        words = words.replace(f"<class '{name}'>", kind)
    return f"expected {_KINDS.get(words, words)} (got {found[2]})"


def _one_line(text: str, words: Sequence[str], parser: ArgumentParser, command: Command) -> str:
    """The parser's message in one line, with the nearest option or value where one is unknown."""
    see = f"; see graphpose {command.name} --help"
    unknown = re.match(r"unrecognized arguments: (.*)", text, flags=re.DOTALL)
    if unknown is None:
        choice = re.match(r"argument (?:\S+/)?(-\S+): invalid choice: '(.*?)' \(", text)
        if choice is not None:
            choices = parser._option_string_actions[choice[1]].choices or ()
            return f"{choice[1]}: {unknown_name(choice[1].lstrip('-'), choice[2], choices)}{see}"
        wrong = re.match(r'Parser key "(.*?)":\s*(.*)', text, flags=re.DOTALL)
        if wrong is not None:
            return f"--{wrong[1]}: {_plain_type(wrong[1], ' '.join(wrong[2].split()))}{see}"
        return " ".join(text.split()) + see
    options = [word for word in unknown[1].split() if word.startswith("-")]
    if not options:
        return f"unexpected argument {unknown[1].split()[0]!r}{see}"
    option = options[0].partition("=")[0]
    for start, instead in command.refusals.items():
        if option == start or option.startswith(f"{start}."):
            return f"{option}: {instead}{see}"
    known = [*parser._option_string_actions, *command.shorthands]
    close = nearest(option, known)
    hint = f" (did you mean {close!r}?)" if close is not None else ""
    return f"unknown option {option!r}{hint}{see}"
