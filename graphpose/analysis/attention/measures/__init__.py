"""Numbers of a record: arrays, graphs and tidy tables.

- of a head: `head_measures.py` (on weights), `head_table.py`, `head_roles.py`, `head_map.py`, `stability.py`, `head_importance.py`
- of a joint: `looks_at.py`; through all layers `rollout.py`, `flow.py`, `attribution.py` (as a table: `source_table.py`)
- of a graph: `attention_graph.py`, `topology_measures.py`, `topology_history.py`
- what they share: `relations.py` (what is a bone, a mirror pair, a distant joint), `mean_map.py`, `space_time_steps.py`

Adding a measure of heads: one function on weights in `head_measures.py`, and its line in `head_table.py`.
"""
