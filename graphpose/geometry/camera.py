"""Pinhole cameras with radial and tangential distortion, batched and differentiable.

    X_cam = R (X_world - c),      x = X_cam[:2] / X_cam[2],      r^2 = |x|^2
    x_d = x (1 + k1 r^2 + k2 r^4 + k3 r^6 + p . x) + p r^2,      u = f x_d + u_0

Symbols: `R` rotation, `c` position, `k` radial, `p` tangential, `f` focal, `u_0` center. This is the Human3.6M camera
in the form of VideoPose3D. Shapes: points `[..., N, 3]`, image points `[..., N, 2]`, camera fields `[..., 3, 3]`,
`[..., 3]`, `[..., 2]`; the camera's leading dimensions line up, from the right, with those of the points before `N`.

Pavllo et al., "3D human pose estimation in video with temporal convolutions and semi-supervised training", CVPR 2019.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import roma
import torch
from torch import Tensor

from graphpose.errors import DataError
from graphpose.geometry.distortion import distort, undistort
from graphpose.geometry.screen import normalize_screen

__all__ = ["Camera"]

_FIELDS = {"rotation": (3, 3), "position": (3,), "focal": (2,), "center": (2,), "radial": (3,), "tangential": (2,)}
_UP = (0.0, 1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Camera:
    """One camera, or a batch of them (`camera.shape`): over time, over clips, over views.

    Every tensor is brought to one floating dtype and one batch shape; center, radial and tangential are zero unless
    given.

    Attributes:
        rotation: `[..., 3, 3]` world to camera.
        position: `[..., 3]` camera centre in world metres.
        focal: `[..., 2]` in pixels, or in normalised screen units when there is no `width`.
        center: `[..., 2]` principal point, same unit.
        radial: `[..., 3]`; tangential: `[..., 2]`.
        width, height: image size in pixels, or None for a camera in normalised screen units.
        limit: holds `x` within `[-limit, limit]` before the distortion, whose polynomial means nothing far outside
            the image; None (default) leaves `x` alone, the published code has 1.

    Raises:
        DataError: wrong shapes, a rotation that is none (or a reflection), only one of width and height.
    """

    rotation: Tensor
    position: Tensor
    focal: Tensor
    center: Tensor = None  # type: ignore[assignment]  # zeros, filled in below
    radial: Tensor = None  # type: ignore[assignment]
    tangential: Tensor = None  # type: ignore[assignment]
    width: int | None = None
    height: int | None = None
    name: str = ""
    limit: float | None = None

    def __post_init__(self) -> None:
        """Fills in zeros, brings the fields to one dtype and batch shape, and checks them."""
        given = {name: getattr(self, name) for name in _FIELDS}
        kind = _common_kind([value for value in given.values() if isinstance(value, Tensor)])
        tensors: dict[str, Tensor] = {}
        for name, shape in _FIELDS.items():
            value = given[name]
            value = torch.zeros(shape, **kind) if value is None else torch.as_tensor(value).to(**kind)
            if value.shape[value.ndim - len(shape) :] != shape:
                raise DataError(
                    f"camera {self.name!r}: expected {name} [..., {', '.join(map(str, shape))}] "
                    f"(got {list(value.shape)})"
                )
            tensors[name] = value
        try:
            batch = torch.broadcast_shapes(*(t.shape[: t.ndim - len(_FIELDS[n])] for n, t in tensors.items()))
        except RuntimeError as error:
            shapes = ", ".join(f"{n} {list(t.shape)}" for n, t in tensors.items())
            raise DataError(f"camera {self.name!r}: expected fields of one batch shape (got {shapes})") from error
        for name, value in tensors.items():
            object.__setattr__(self, name, value.expand(*batch, *_FIELDS[name]))
        _check_rotation(self.name, self.rotation)
        if (self.width is None) != (self.height is None):
            raise DataError(
                f"camera {self.name!r}: expected both width and height or neither (got {self.width}, {self.height})"
            )
        if self.limit is not None and not self.limit > 0:
            raise DataError(f"camera {self.name!r}: expected a positive limit (got {self.limit})")

    # -- making one ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_quaternion(
        cls, quaternion: Any, translation: Any, focal: Any, *, limit: float | None = 1.0, **fields: Any
    ) -> Camera:
        """The published Human3.6M convention: quaternion `[..., 4]` (w, x, y, z) turns camera axes into world axes.

        `translation [..., 3]` is the camera centre in metres; `fields` are the others of the class. The published code
        holds image coordinates within `limit` = 1 before it distorts them, and so does this camera.

        Raises:
            DataError: a quaternion that is not of unit length, or the faults of the class.
        """
        kind = _common_kind([v for v in (quaternion, translation, focal) if isinstance(v, Tensor)])
        wxyz = torch.as_tensor(quaternion, **kind)
        if wxyz.shape[-1:] != (4,):
            raise DataError(f"expected a quaternion [..., 4] in the order w, x, y, z (got {list(wxyz.shape)})")
        length = torch.linalg.vector_norm(wxyz.detach(), dim=-1)
        if not bool(((length - 1).abs() <= 1e-3).all()):
            raise DataError(
                f"expected a quaternion of length 1 (got {length.reshape(-1)[0].item():.4g}); normalise it first"
            )
        unit = wxyz / torch.linalg.vector_norm(wxyz, dim=-1, keepdim=True)
        rotation = roma.unitquat_to_rotmat(unit[..., [1, 2, 3, 0]]).mT
        return cls(rotation, torch.as_tensor(translation, **kind), _pair(focal, **kind), limit=limit, **fields)

    @classmethod
    def look_at(cls, eye: Any, target: Any, up: Any = _UP, *, focal: Any = 2.29, **fields: Any) -> Camera:
        """A camera at `eye [..., 3]` with `target [..., 3]` on its axis.

        z points to the target, x = z × up to the right (normalised), y = z × x down.

        Raises:
            DataError: an eye on its target, or a line of sight along `up`, which leave the axes undefined.
        """
        kind = _common_kind([v for v in (eye, target) if isinstance(v, Tensor)])
        eye, target = torch.broadcast_tensors(torch.as_tensor(eye, **kind), torch.as_tensor(target, **kind))
        if eye.shape[-1:] != (3,):
            raise DataError(f"expected eye and target [..., 3] (got {list(eye.shape)})")
        sight = target - eye
        distance = torch.linalg.vector_norm(sight, dim=-1, keepdim=True)
        if not bool((distance > 1e-6).all()):
            raise DataError("expected an eye away from its target (got the same point, or NaN); move the camera")
        z = sight / distance
        upward = torch.as_tensor(up, **kind)
        x = torch.linalg.cross(z, (upward / torch.linalg.vector_norm(upward, dim=-1, keepdim=True)).expand_as(z))
        side = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        if not bool((side > 1e-6).all()):
            raise DataError(
                "expected a line of sight that is not along `up` (got one that is); choose another up or move the eye"
            )
        x = x / side
        rotation = torch.stack([x, torch.linalg.cross(z, x), z], dim=-2)
        return cls(rotation, eye, _pair(focal, **kind), **fields)

    @classmethod
    def stack(cls, cameras: Sequence[Camera], dim: int = 0) -> Camera:
        """Cameras of one batch shape as one batch, `dim` being the new dimension. They must agree in image size and
        limit.
        """
        if not cameras:
            raise DataError("expected at least one camera to stack (got none)")
        first = cameras[0]
        for camera in cameras[1:]:
            for name in ("width", "height", "limit"):
                if getattr(camera, name) != getattr(first, name):
                    raise DataError(
                        f"expected cameras of one {name} (got {getattr(first, name)} for {first.name!r} "
                        f"and {getattr(camera, name)} for {camera.name!r}); normalise them first"
                    )
            if camera.shape != first.shape:
                raise DataError(
                    f"expected cameras of one batch shape (got {list(first.shape)} and {list(camera.shape)})"
                )
        at = dim if dim >= 0 else dim + len(first.shape) + 1
        tensors: dict[str, Any] = {
            name: torch.stack([getattr(camera, name) for camera in cameras], at) for name in _FIELDS
        }
        names = {camera.name for camera in cameras}
        return dataclasses.replace(first, **tensors, name=first.name if len(names) == 1 else "")

    # -- batches, devices, units --------------------------------------------------------------------------------------

    @property
    def shape(self) -> torch.Size:
        """The batch shape: `()` for one camera."""
        return self.position.shape[:-1]

    def __getitem__(self, index: Any) -> Camera:
        """Indexes the batch dimensions."""
        if not self.shape:
            raise DataError(f"camera {self.name!r} is one camera, not a batch of them: it takes no index")
        if isinstance(index, tuple) and any(i is Ellipsis for i in index):
            raise DataError("expected a camera index without an ellipsis (got one)")
        return self._map(lambda tensor: tensor[index])

    def unsqueeze(self, dim: int) -> Camera:
        """A batch dimension of size 1 more: `camera.unsqueeze(-1)` lines a camera per clip `[B]` up with points `[B,
        T, J, 3]`.
        """
        at = dim if dim >= 0 else dim + len(self.shape) + 1
        return self._map(lambda tensor: tensor.unsqueeze(at))

    def to(self, *args: Any, **kwargs: Any) -> Camera:
        """On another device or in another floating dtype; arguments of `torch.Tensor.to`."""
        return self._map(lambda tensor: tensor.to(*args, **kwargs))

    def normalized(self) -> Camera:
        """The same camera in normalised screen units, of which one is half an image width; itself when it has no image
        size.
        """
        if self.width is None or self.height is None:
            return self
        center = normalize_screen(self.center, self.width, self.height)
        return dataclasses.replace(self, focal=self.focal * (2.0 / self.width), center=center, width=None, height=None)

    # -- seeing -------------------------------------------------------------------------------------------------------

    def world_to_camera(self, points: Tensor) -> Tensor:
        """World points `[..., N, 3]` in camera space `[..., N, 3]`, metres."""
        self._check_points(points, 3, "world points")
        return (points - self._lined_up(self.position)) @ self.rotation.mT

    def camera_to_world(self, points: Tensor) -> Tensor:
        """Camera-space points `[..., N, 3]` in the world `[..., N, 3]`, metres: the inverse of `world_to_camera`."""
        self._check_points(points, 3, "camera-space points")
        return points @ self.rotation + self._lined_up(self.position)

    def project(self, points: Tensor, distort: bool = True) -> Tensor:
        """Camera-space points `[..., N, 3]` on the image `[..., N, 2]`, in the unit of `focal`; NaN for what is behind.

        `distort=False` leaves the lens distortion out.
        """
        self._check_points(points, 3, "camera-space points")
        depth = points[..., 2:]
        front = depth > 0
        plane = points[..., :2] / torch.where(front, depth, 1.0)
        if self.limit is not None:
            plane = plane.clamp(-self.limit, self.limit)
        if distort:
            plane = _distort(plane, self._lined_up(self.radial), self._lined_up(self.tangential))
        image = self._lined_up(self.focal) * plane + self._lined_up(self.center)
        return torch.where(front, image, float("nan"))

    def undistort(self, image: Tensor) -> Tensor:
        """Image points `[..., N, 2]` as this camera would see them without lens distortion; NaN where no point is seen
        so.
        """
        return self._lined_up(self.focal) * self._plane(image) + self._lined_up(self.center)

    def unproject(self, image: Tensor, depth: Tensor) -> Tensor:
        """Image points `[..., N, 2]` at `depth [..., N]` metres along z, in camera space `[..., N, 3]`.

        The inverse of `project` for points in front and within `limit`; the lens distortion is undone by Newton's
        method, and an image point that no direction is distorted to gives NaN.
        """
        if depth.shape != image.shape[:-1]:
            raise DataError(
                f"expected a depth {list(image.shape[:-1])} for image points {list(image.shape)} "
                f"(got {list(depth.shape)})"
            )
        plane = self._plane(image)
        return torch.cat([plane * depth[..., None], depth[..., None]], dim=-1)

    # -- within -------------------------------------------------------------------------------------------------------

    def _plane(self, image: Tensor) -> Tensor:
        self._check_points(image, 2, "image points")
        plane = (image - self._lined_up(self.center)) / self._lined_up(self.focal)
        return undistort(plane, self._lined_up(self.radial), self._lined_up(self.tangential))

    def _lined_up(self, field: Tensor) -> Tensor:
        return field.unsqueeze(-2) if self.shape else field

    def _map(self, change: Callable[[Tensor], Tensor]) -> Camera:
        fields: dict[str, Any] = {name: change(getattr(self, name)) for name in _FIELDS}
        return dataclasses.replace(self, **fields)

    def _check_points(self, points: Tensor, size: int, what: str) -> None:
        if points.ndim < 1 or points.shape[-1] != size:
            raise DataError(f"expected {what} [..., N, {size}] (got {list(points.shape)})")
        if not self.shape:
            return
        try:
            fits = points.ndim >= 2 and torch.broadcast_shapes(points.shape[:-2], self.shape)
        except RuntimeError:
            fits = False
        if fits is False:
            raise DataError(
                f"expected {what} whose dimensions before [N, {size}] line up with the camera's {list(self.shape)} "
                f"(got {list(points.shape)}); see Camera.unsqueeze"
            )


_distort = distort  # `Camera.project` has an argument of that name


def _check_rotation(name: str, rotation: Tensor) -> None:
    with torch.no_grad():
        eye = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
        orthogonal = bool(((rotation @ rotation.mT - eye).abs() <= 1e-3).all())
        if not (orthogonal and bool((torch.linalg.det(rotation.double()) > 0).all())):
            raise DataError(f"camera {name!r}: expected rotation matrices with determinant +1 (got others, or NaN)")


def _pair(focal: Any, **kind: Any) -> Tensor:
    """One focal length for both axes, or one for each."""
    tensor = torch.as_tensor(focal, **kind)
    return tensor.expand(2) if tensor.ndim == 0 else tensor


def _common_kind(tensors: Sequence[Tensor]) -> dict[str, Any]:
    """The widest floating dtype of these (PyTorch's default where there is none) and their device."""
    floating = [t.dtype for t in tensors if t.is_floating_point()]
    dtype = functools.reduce(torch.promote_types, floating) if floating else torch.get_default_dtype()
    return {"dtype": dtype, "device": tensors[0].device if tensors else torch.device("cpu")}
