"""From a number of frames to the widths of a temporal pyramid: its odd prime factors, small ones first.

    27 -> 3, 3, 3        81 -> 3, 3, 3, 3        45 -> 3, 3, 5        50 -> 7, 7  (49: no odd widths give 50)

Convolutions of widths w_1, w_2, ... that are strided by, or dilated by, the product of the widths before them see
w_1 w_2 ... frames: the receptive field. Odd widths have a frame in their middle.

Pavllo et al., "3D human pose estimation in video with temporal convolutions and semi-supervised training", CVPR 2019.
"""

from __future__ import annotations

__all__ = ["filter_widths"]


def filter_widths(frames: int) -> tuple[int, ...]:
    """The odd prime factors of `frames`, ascending; of `frames - 1` where `frames` (>= 1) is even. Of 1 and 2 there are none.

    Their product is the largest receptive field that is not above `frames`. A model that needs exactly `frames` compares the
    two. A large prime is one wide layer; numbers made of 3s are what these pyramids are published with.

    >>> filter_widths(27), filter_widths(50)
    ((3, 3, 3), (7, 7))
    """
    rest, widths, width = frames - (frames % 2 == 0), [], 3
    while width * width <= rest:
        if rest % width:
            width += 2
        else:
            widths.append(width)
            rest //= width
    return (*widths, rest) if rest > 1 else tuple(widths)
