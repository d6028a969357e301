"""Where motion is seen from: cameras, the usual sets of views, screen coordinates and similarity alignment.

Conventions, once for the whole package: world +Y up, metres; camera space x right, y down, z forward; image x right, y
down, in pixels when the camera has a width and height and in normalised screen units otherwise.
"""

from __future__ import annotations

from graphpose.geometry.alignment import Similarity, fit_similarity, similarity_align
from graphpose.geometry.camera import Camera
from graphpose.geometry.reprojection import place_root, reprojection_error
from graphpose.geometry.screen import denormalize_screen, normalize_screen
from graphpose.geometry.views import AZIMUTHS, orbit_camera, random_cameras, static_views

__all__ = [
    "AZIMUTHS",
    "Camera",
    "Similarity",
    "denormalize_screen",
    "fit_similarity",
    "normalize_screen",
    "orbit_camera",
    "place_root",
    "random_cameras",
    "reprojection_error",
    "similarity_align",
    "static_views",
]
