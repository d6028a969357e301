"""Where the data sets of the field come from, and whether what lies in a folder is what was published.

Adding a new data set: write one module in this folder that defines `SOURCE = Source(name, title, where, licence, check)`;
`graphpose data fetch` finds it by itself. Give numbers to compare with only where a public source states them, and name it.
"""

from __future__ import annotations

from graphpose.datasets.sources.findings import Finding, faulty, summarize, table
from graphpose.datasets.sources.registry import Source, Wishes, available, find_source

__all__ = ["Finding", "Source", "Wishes", "available", "faulty", "find_source", "summarize", "table"]
