"""Get a data set: says where it comes from, fetches it where that is free, and checks what lies in the folder.

  graphpose data fetch
  graphpose data fetch cmu --subjects 07 09 --to mocap/cmu
  graphpose data fetch human36m --to mocap/human36m

Without a name it lists the data sets. What was stopped goes on where it was. Exits with 1 when something in the folder
is missing, suspicious or broken; a folder with nothing of the data set in it is no fault.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.parsing import UsageError

if TYPE_CHECKING:
    from graphpose.datasets.sources import Finding, Source


def add_arguments(parser: ArgumentParser) -> None:
    """Which data set, where to, and which part of it."""
    parser.add_argument("name", type=str, nargs="?", help="the data set (default: list them)")
    parser.add_argument("--to", metavar="FOLDER", type=str, help="where it is or shall be (default: mocap/NAME)")
    parser.add_argument("--subjects", type=str, nargs="+", help="subjects to fetch, such as 07 09, or all")
    parser.add_argument("--from", metavar="URL", type=str, help="address of a mirror, in place of the publisher's")
    parser.add_argument(
        "--checksums", metavar="FILE", type=str, help="list of SHA-256 (as of sha256sum) that the files must agree with"
    )


def run(args: Namespace) -> int:
    """The list; or the paragraph, the download where there is one, and the table of what is there."""
    given = {option: args.get(option) for option in ("to", "subjects", "from", "checksums")}
    name = args.get("name")
    if name is None:
        if any(given.values()):
            raise UsageError("expected the name of a data set; graphpose data fetch lists them")
        print(_overview())
        return 0
    from graphpose.datasets.sources import Wishes, find_source  # here, because it imports torch

    source = find_source(name)
    folder = Path(given["to"] or Path("mocap") / source.name)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--to: expected a folder (got the file {folder})")
    print(_paragraph(source), end="\n\n")
    if source.download is None and (given["subjects"] or given["from"]):
        raise UsageError(
            f"{source.title} cannot be fetched by a program: get it as said above, then run this without --subjects and --from"
        )
    if source.download is not None and (given["subjects"] or given["from"]):
        checksums = Path(given["checksums"]) if given["checksums"] else None
        source.download(folder, Wishes(tuple(given["subjects"] or ()), given["from"], checksums))
        print()
    findings = source.check(folder)
    if given["checksums"] and findings:
        findings = [*findings, *_against(folder, Path(given["checksums"]))]
    return _report(source, folder, findings)


def _overview() -> str:
    from graphpose.datasets.sources import available

    sources = available()
    width = max(len(name) for name in sources)
    lines = [
        f"{name:<{width}}  {source.title} ({'fetched from here' if source.download else 'get it yourself, then checked'})"
        for name, source in sources.items()
    ]
    return "\n".join([*lines, "", "`graphpose data fetch NAME` says where to get one, and checks what you have of it."])


def _paragraph(source: Source) -> str:
    texts = (source.where, f"Licence: {source.licence}")
    return "\n\n".join(
        [source.title, *(textwrap.fill(text, 100, break_on_hyphens=False, break_long_words=False) for text in texts)]
    )


def _against(folder: Path, checksums: Path) -> list[Finding]:
    """What of the user's list is not there, or is another file."""
    from graphpose.datasets.checksums import read_checksums
    from graphpose.datasets.download import sha256_of
    from graphpose.datasets.sources import Finding

    found, right = [], 0
    for name, expected in read_checksums(checksums).items():
        path = folder / name
        if not path.is_file():
            found.append(Finding("missing", name, f"listed in {checksums}, and not there"))
        elif (digest := sha256_of(path)) != expected:
            found.append(Finding("broken", name, f"expected SHA-256 {expected} (got {digest})", "get this file again"))
        else:
            right += 1
    return [*found, Finding("ok", str(checksums), f"{right} files agree with it")] if right else found


def _report(source: Source, folder: Path, findings: list[Finding]) -> int:
    from graphpose.datasets.sources import faulty, summarize, table

    if not findings:
        how = f"; graphpose data fetch {source.name} --subjects ... fetches it" if source.download else ""
        other = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
        print(f"{folder}: nothing there yet{f' ({other} other entries)' if other else ''}{how}")
        return 0
    print(table(findings))
    print(f"{folder}: {summarize(findings)}")
    return 1 if faulty(findings) else 0
