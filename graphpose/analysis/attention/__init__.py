"""Attention over graphs: who looks at whom, in numbers and in pictures.

`capture` records what a model attends to while it runs, `observe` does so for clips; both give a `Record`. Measures take a record, or
plain weights, and give arrays and tidy tables; pictures take the same. All names below are loaded when they are first used.

`record.py` says what a record holds, `record_file.py` writes it; `recording/` makes it, `measures/` and `pictures/` take it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpose.lazy_names import lazy

if TYPE_CHECKING:
    from graphpose.analysis.attention.measures.attention_graph import attention_graph, attention_networkx
    from graphpose.analysis.attention.measures.attribution import attribution
    from graphpose.analysis.attention.measures.flow import flow
    from graphpose.analysis.attention.measures.head_importance import head_importance, without_heads
    from graphpose.analysis.attention.measures.head_map import head_map
    from graphpose.analysis.attention.measures.head_roles import head_roles
    from graphpose.analysis.attention.measures.head_table import head_table, joint_table
    from graphpose.analysis.attention.measures.looks_at import looks_at
    from graphpose.analysis.attention.measures.relations import frame_relations, joint_relations
    from graphpose.analysis.attention.measures.rollout import joint_rollout, rollout, rollout_table
    from graphpose.analysis.attention.measures.source_table import source_table
    from graphpose.analysis.attention.measures.stability import stability_table
    from graphpose.analysis.attention.measures.topology_history import edge_history, topology_history
    from graphpose.analysis.attention.measures.topology_measures import (
        communities,
        edge_table,
        laplacian_spectrum,
        topology_table,
    )
    from graphpose.analysis.attention.pictures import (
        attention_player,
        attention_report,
        draw_attention,
        draw_head_grid,
        draw_hop_profile,
        draw_joint_error,
        draw_time_profile,
        draw_topology,
        rerun_file,
    )
    from graphpose.analysis.attention.record import Attention, Fusion, Record, Topology, Window
    from graphpose.analysis.attention.record_file import load_record, save_record
    from graphpose.analysis.attention.recording.capture import capture
    from graphpose.analysis.attention.recording.observe import observe
    from graphpose.analysis.attention.recording.sites import Site

_WHERE = {
    "Attention": "record",
    "Fusion": "record",
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

__all__ = [
    "Attention",
    "Fusion",
    "Record",
    "Site",
    "Topology",
    "Window",
    "attention_graph",
    "attention_networkx",
    "attention_player",
    "attention_report",
    "attribution",
    "capture",
    "communities",
    "draw_attention",
    "draw_head_grid",
    "draw_hop_profile",
    "draw_joint_error",
    "draw_time_profile",
    "draw_topology",
    "edge_history",
    "edge_table",
    "flow",
    "frame_relations",
    "head_importance",
    "head_map",
    "head_roles",
    "head_table",
    "joint_relations",
    "joint_rollout",
    "joint_table",
    "laplacian_spectrum",
    "load_record",
    "looks_at",
    "observe",
    "rerun_file",
    "rollout",
    "rollout_table",
    "save_record",
    "source_table",
    "stability_table",
    "topology_history",
    "topology_table",
    "without_heads",
]

__getattr__, __dir__ = lazy(__name__, _WHERE)
