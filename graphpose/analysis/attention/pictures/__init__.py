"""Pictures of a record: still ones (matplotlib), a player (plotly), one page to look around in (HTML), and a rerun file.

- which weights a picture shows: `selection.py`; which of them become edges, and how thick: `edges.py`
- still: `skeleton_attention.py`, `head_grid.py`, `profiles.py`, `topology_matrices.py`, `joint_error.py`
- moving: `player_figure.py`, `report_page.py` (its data `page_data.py`, its HTML `page_html.py`), `rerun_export.py`

Left is blue, right orange and attention green in all of them (Okabe and Ito), and attention is told by thickness too.

Adding a picture: one file with one function that takes a record, and `ax=None` where it is still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpose.lazy_names import lazy

if TYPE_CHECKING:
    from graphpose.analysis.attention.pictures.head_grid import draw_head_grid
    from graphpose.analysis.attention.pictures.joint_error import draw_joint_error
    from graphpose.analysis.attention.pictures.player_figure import attention_player
    from graphpose.analysis.attention.pictures.profiles import draw_hop_profile, draw_time_profile
    from graphpose.analysis.attention.pictures.report_page import attention_report
    from graphpose.analysis.attention.pictures.rerun_export import rerun_file
    from graphpose.analysis.attention.pictures.skeleton_attention import draw_attention
    from graphpose.analysis.attention.pictures.topology_matrices import draw_topology

_WHERE = {
    "attention_player": "player_figure",
    "attention_report": "report_page",
    "draw_attention": "skeleton_attention",
    "draw_head_grid": "head_grid",
    "draw_hop_profile": "profiles",
    "draw_joint_error": "joint_error",
    "draw_time_profile": "profiles",
    "draw_topology": "topology_matrices",
    "rerun_file": "rerun_export",
}

__all__ = [
    "attention_player",
    "attention_report",
    "draw_attention",
    "draw_head_grid",
    "draw_hop_profile",
    "draw_joint_error",
    "draw_time_profile",
    "draw_topology",
    "rerun_file",
]

__getattr__, __dir__ = lazy(__name__, _WHERE)
