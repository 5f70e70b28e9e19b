"""Names of the Gymnasium environments, registered when `mosim` is imported."""

import gymnasium

SUITE_TASKS = (
    "acrobot-swingup", "acrobot-swingup_sparse", "ball_in_cup-catch", "cartpole-balance", "cartpole-balance_sparse",
    "cartpole-swingup", "cartpole-swingup_sparse", "cartpole-three_poles", "cartpole-two_poles", "cheetah-run",
    "dog-fetch", "dog-run", "dog-stand", "dog-trot", "dog-walk", "finger-spin", "finger-turn_easy",
    "finger-turn_hard", "fish-swim", "fish-upright", "hopper-hop", "hopper-stand", "humanoid-run",
    "humanoid-run_pure_state", "humanoid-stand", "humanoid-walk", "humanoid_CMU-run", "humanoid_CMU-stand",
    "humanoid_CMU-walk", "lqr-lqr_2_1", "lqr-lqr_6_2", "manipulator-bring_ball", "manipulator-bring_peg",
    "manipulator-insert_ball", "manipulator-insert_peg", "pendulum-swingup", "point_mass-easy", "point_mass-hard",
    "quadruped-escape", "quadruped-fetch", "quadruped-run", "quadruped-walk", "reacher-easy", "reacher-hard",
    "stacker-stack_2", "stacker-stack_4", "swimmer-swimmer15", "swimmer-swimmer6", "walker-run", "walker-stand",
    "walker-walk",
)  # fmt: skip
"""Every task of the dm_control suite. Written out, and held to the suite by a test, since asking dm_control would cost
every `import mosim` most of a second."""

SIMULATED_NAMESPACE = "MoSim"
TRUE_NAMESPACE = "MoSimTrue"


OWN_TASK = "task"
"""Stands in an id for a task of the user's own, which is then given as an argument: `task="module:Class"`."""


def environment_id(task: str, true: bool = False) -> str:
    """The Gymnasium id of a task in the simulator, or, with `true`, of the task itself with the same interface."""
    return f"{TRUE_NAMESPACE if true else SIMULATED_NAMESPACE}/{task if task in SUITE_TASKS else OWN_TASK}-v0"


def register_environments() -> None:
    """Registers `MoSim/<task>-v0` and `MoSimTrue/<task>-v0` for every suite task, and `MoSim/task-v0` for others.

    Twice does no harm.
    """
    for task in (*SUITE_TASKS, OWN_TASK):
        for true in (False, True):
            if (name := environment_id(task, true)) not in gymnasium.registry:
                fixed = {"task": task} if task != OWN_TASK else {}
                gymnasium.register(
                    name,
                    entry_point="mosim.envs:make_env",
                    vector_entry_point="mosim.envs:make_vector_env",
                    kwargs=fixed | {"checkpoint": "true"} if true else fixed,
                )
