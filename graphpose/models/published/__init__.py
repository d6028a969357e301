"""Reads the weights of published implementations into the models of the zoo.

Adding a family: its two rules (names, sizes) in a file of their own here, and a row in `families.py`.
"""

from graphpose.models.published.reading import PICKLED, fill, from_published, published_families, read_state_dict

__all__ = ["PICKLED", "fill", "from_published", "published_families", "read_state_dict"]
