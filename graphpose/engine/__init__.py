"""Runs: training, evaluation and prediction, from configurations or from Python.

>>> result = graphpose.train(TrainConfig.from_yaml("demo"))             # doctest: +SKIP
>>> print(graphpose.evaluate(result.best).table())                      # doctest: +SKIP
>>> poses = graphpose.predict(graphpose.load(result.best), keypoints)   # doctest: +SKIP
"""

from graphpose.engine.callbacks import TrainingInterrupted
from graphpose.engine.evaluation import evaluate, evaluate_clips, evaluate_hypotheses
from graphpose.engine.fitting import RunResult
from graphpose.engine.lifting_module import LiftingModule
from graphpose.engine.outcome import Evaluation, LiftedClip
from graphpose.engine.own_cameras import OwnCamerasWarning
from graphpose.engine.prediction import predict, predict_clip, predict_file
from graphpose.engine.result_file import read_result
from graphpose.engine.seen_clips import SeenClipsWarning
from graphpose.engine.training import train
from graphpose.engine.windowed_lifting import lift_clips, lift_windows

__all__ = [
    "Evaluation",
    "LiftedClip",
    "LiftingModule",
    "OwnCamerasWarning",
    "RunResult",
    "SeenClipsWarning",
    "TrainingInterrupted",
    "evaluate",
    "evaluate_clips",
    "evaluate_hypotheses",
    "lift_clips",
    "lift_windows",
    "predict",
    "predict_clip",
    "predict_file",
    "read_result",
    "train",
]
