"""What training says of itself."""

from typing import NamedTuple


class Report(NamedTuple):
    """What training says every `REPORT_STEPS` gradient steps, and with `validation` at the end of a stage.

    Attributes:
      stage, stages: index of the stage, and how many there are.
      name: the stage's name.
      step: gradient steps since training began.
      progress: share of the stage done, 0 to 1.
      loss: mean loss since the last report.
      samples_per_second: physics steps of training data a second, over this report.
      learning_rate: of the last step.
      calls_per_step: calls of the networks for each predicted physics step: 1, or what the integrator takes.
      validation: horizon error at 16 steps on episodes kept from training, in raw units squared; None within a stage.
      persistence: beside it, that of predicting no change at all.
      note: a sentence where something ended early, else empty.
      found: what least squares found, a sentence, else empty.
      samples: physics steps of training data since training began, repetitions counted.
      seconds: of gradient steps since training began.
    """

    stage: int
    stages: int
    name: str
    step: int
    progress: float
    loss: float
    samples_per_second: float
    learning_rate: float
    calls_per_step: float
    validation: float | None = None
    persistence: float | None = None
    note: str = ""
    found: str = ""
    samples: int = 0
    seconds: float = 0.0

    @property
    def worse_than_no_change(self) -> bool:
        """Whether training has ended, and the simulator predicts worse than no change at all would."""
        if self.validation is None or self.persistence is None or self.stage < self.stages - 1:
            return False
        return not self.validation <= self.persistence
