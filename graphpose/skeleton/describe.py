"""A skeleton as text: its tree, one joint a line, with index, side and loss weight."""

from __future__ import annotations

from collections.abc import Mapping

from graphpose.skeleton.skeleton import Skeleton

__all__ = ["describe"]


def describe(skeleton: Skeleton) -> str:
    """Several lines: a heading, the indented tree (children below their parent), the limbs, the limits and the source."""
    pairs = f"{len(skeleton.pairs)} left/right pair{'s' * (len(skeleton.pairs) != 1)}"
    lines = [f"{skeleton.name}: {len(skeleton)} joints, {len(skeleton.bones)} bones, {pairs}"]
    width = max(2 * depth + len(name) for depth, name in zip(skeleton.depths, skeleton.joints, strict=True))
    stack = [skeleton.root]
    while stack:
        joint = stack.pop()
        stack.extend(reversed(skeleton.children[joint]))
        label = "  " * skeleton.depths[joint] + skeleton.joints[joint]
        partner = int(skeleton.mirror[joint])
        side = "" if partner == joint else f"{skeleton.side(joint)} (partner {skeleton.joints[partner]})"
        lines.append(f"  {joint:>3}  {label:<{width}}  weight {skeleton.weights[joint]:.2f}  {side}".rstrip())
    for name, members in skeleton.groups.items():
        lines.append(f"  group {name}: {', '.join(members)}")
    lines.append(f"  rest pose: {'no' if skeleton.rest is None else 'yes'}")
    if skeleton.limits is not None:
        limits = skeleton.limits
        for at, bounds in limits.angles.items():
            ranges = bounds if isinstance(bounds, Mapping) else {"": bounds}
            for child, (low, high) in ranges.items():
                to = f" to {child}" if child else ""
                lines.append(f"  angle at {at}{to}: {low:g} to {high:g} degrees")
        if limits.hinges:
            lines.append(f"  hinges: {', '.join(limits.hinges)}")
        lengths = {"bone lengths": limits.lengths, **{f"bone to {j}": b for j, b in limits.bone_lengths.items()}}
        lines += [f"  {what}: {low:g} to {high:g} times the given one" for what, (low, high) in lengths.items()]
    if skeleton.source:
        lines.append(f"  source: {skeleton.source}")
    return "\n".join(lines)
