"""What a model attends to, taken down while it runs: `capture` around any passes, `observe` for clips.

- `capture.py` (what is asked for: `selection.py`; what comes in: `recorder.py`), `observe.py`
- the models of the zoo: `own_modules.py`, `recorded_priors.py`; other people's: `sites.py`, `foreign_modules.py`, `foreign_weights.py`
- `patching.py`: methods of single objects replaced for the while, and put back
"""
