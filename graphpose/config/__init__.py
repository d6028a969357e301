"""What a training, evaluation, adaptation or ablation is told: typed, validated settings that YAML and command line share.

    TrainConfig = data (clips, cameras, windows, split) + model (name, options) + optim (steps, loss) + run (length, machine)

Nothing here imports torch. `TrainConfig.from_yaml("demo")` finds a bundled recipe, or a file by its path; `to_yaml` writes the
resolved settings that are kept beside the weights. Every fault is a `ConfigError` that names the key. `data` is what all of them
share; `training`, `evaluation` and `ablation` have a file each.
"""

from graphpose.config.ablation import AblationConfig, Cell, EntryConfig, OverrideConfig, ablations, select
from graphpose.config.adaptation import AdaptConfig, AlignmentConfig, AugmentationConfig, TargetConfig
from graphpose.config.data import DataConfig, SplitConfig, ViewsConfig
from graphpose.config.evaluation import EvaluateConfig
from graphpose.config.training import ModelConfig, OptimConfig, RunConfig, TrainConfig
from graphpose.recipe_files import find_recipe, recipes

__all__ = [
    "AblationConfig",
    "AdaptConfig",
    "AlignmentConfig",
    "AugmentationConfig",
    "Cell",
    "DataConfig",
    "EntryConfig",
    "EvaluateConfig",
    "ModelConfig",
    "OptimConfig",
    "OverrideConfig",
    "RunConfig",
    "SplitConfig",
    "TargetConfig",
    "TrainConfig",
    "ViewsConfig",
    "ablations",
    "find_recipe",
    "recipes",
    "select",
]
