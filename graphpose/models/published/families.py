"""The published implementations that graphpose reads, by name."""

from __future__ import annotations

from graphpose.models.published.d3dp import d3dp_name, d3dp_sizes
from graphpose.models.published.family import Family
from graphpose.models.published.gla_gcn import PyramidFamily, gla_gcn_name, gla_gcn_sizes
from graphpose.models.published.hot import hot_mixste_name, hot_mixste_sizes
from graphpose.models.published.mixste import ktpformer_name, ktpformer_sizes, mixste_name, mixste_sizes

__all__ = ["FAMILIES"]

FAMILIES: dict[str, Family] = {
    "d3dp": Family("d3dp", d3dp_name, d3dp_sizes, under="denoiser_options"),
    "gla_gcn": PyramidFamily("gla_gcn", gla_gcn_name, gla_gcn_sizes, common=()),
    "hot_mixste": Family("hourglass", hot_mixste_name, hot_mixste_sizes, under="host_options"),
    "ktpformer": Family("ktpformer", ktpformer_name, ktpformer_sizes),
    "mixste": Family("mixste", mixste_name, mixste_sizes),
}
