"""Rounds of data, simulator and policy: each round's policy collects the data of the next."""

from typing import TYPE_CHECKING

from mosim.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from mosim.experiments.rounds.learning import Learning
    from mosim.experiments.rounds.learning_curve import LEARNING_FILE, LearningRow, read_learning
    from mosim.experiments.rounds.settings import LearnSettings

__all__ = ["LEARNING_FILE", "LearnSettings", "Learning", "LearningRow", "read_learning"]

__getattr__ = lazy_names(
    __name__,
    {
        "LEARNING_FILE": "learning_curve",
        "LearnSettings": "settings",
        "Learning": "learning",
        "LearningRow": "learning_curve",
        "read_learning": "learning_curve",
    },
)
