"""`mosim learn`: rounds of data, simulator and policy."""

from collections.abc import Sequence

from mosim.cli.parsing import CommandOptions
from mosim.cli.task_options import parse_with_task
from mosim.experiments.rounds import Learning, LearnSettings
from mosim.tasks import load_task


class Options(CommandOptions, LearnSettings):
    """Learn a task in rounds: collect data, train a simulator, train a policy in it, and collect with the policy.

    The first round collects with random actions. Each round trains the simulator on the data of all rounds so far, and
    goes on with the policy of the round before; --policy.control-steps is the number of simulated control steps of all
    rounds together. The policy is evaluated in the true task at the end of each round. learning.csv and learning.png
    have the returns by true steps. After Ctrl-C or a crash, the same command with --resume continues.

      mosim learn cheetah-run --true-steps 9000 --rounds 3
      mosim learn hopper-stand --true-steps 20000 --initial data/hopper --simulator-recipe geometry
    """


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse_with_task(Options, "learn", arguments)
    Learning(options, load_task(options.task, allow_imports=True)).run()
