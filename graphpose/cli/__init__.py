"""The command line: `graphpose train`, `evaluate`, `predict`, `skeleton ...`, `data ...`, `model ...`.

Help and argument errors need neither torch nor PyTorch Geometric; a command imports what it runs inside `run`.

Adding a new command: write one module in `commands/`. Its file name is the command (`skeleton_list.py` is `skeleton
list`), its
docstring the help (first line: the summary); it defines `add_arguments(parser)` and `run(args) -> exit code or None`.
"""
