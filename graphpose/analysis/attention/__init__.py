"""Attention over graphs: who looks at whom, in numbers and in pictures.

`capture` records what a model attends to while it runs, `observe` does so for clips; both give a `Record`. Measures take a record, or
plain weights, and give arrays and tidy tables; pictures take the same. All names below are loaded when they are first used.

`record.py` says what a record holds, `record_file.py` writes it; `recording/` makes it, `measures/` and `pictures/` take it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "Attention": "record",
    "Record": "record",
    "Site": "recording.sites",
    "Topology": "record",
    "Window": "record",
    "attention_graph": "measures.attention_graph",
    "attention_networkx": "measures.attention_graph",
    "attention_player": "pictures",
    "attention_report": "pictures",
    "attribution": "measures.attribution",
    "capture": "recording.capture",
    "communities": "measures.topology_measures",
    "draw_attention": "pictures",
    "draw_head_grid": "pictures",
    "draw_hop_profile": "pictures",
    "draw_joint_error": "pictures",
    "draw_time_profile": "pictures",
    "draw_topology": "pictures",
    "edge_history": "measures.topology_history",
    "edge_table": "measures.topology_measures",
    "flow": "measures.flow",
    "frame_relations": "measures.relations",
    "head_importance": "measures.head_importance",
    "head_map": "measures.head_map",
    "head_roles": "measures.head_roles",
    "head_table": "measures.head_table",
    "joint_relations": "measures.relations",
    "joint_rollout": "measures.rollout",
    "joint_table": "measures.head_table",
    "laplacian_spectrum": "measures.topology_measures",
    "load_record": "record_file",
    "looks_at": "measures.looks_at",
    "observe": "recording.observe",
    "rerun_file": "pictures",
    "rollout": "measures.rollout",
    "rollout_table": "measures.rollout",
    "save_record": "record_file",
    "source_table": "measures.source_table",
    "stability_table": "measures.stability",
    "topology_history": "measures.topology_history",
    "topology_table": "measures.topology_measures",
    "without_heads": "measures.head_importance",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers: {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
