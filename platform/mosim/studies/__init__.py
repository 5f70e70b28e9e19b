"""Studies: variants of recipes, trained on several systems under several seeds, and measured alike."""

from mosim.studies.config import DATA_FOLDER, Study, SystemRuns, Variant, read_study
from mosim.studies.jobs import RESULT_FILE, BaselineJob, Job, Measurement, News, Status, TrainingJob
from mosim.studies.plan import Plan, PlannedRun, PlannedSystem, plan_study
from mosim.studies.results import RESULTS_FILE, Runs, plot_systems, result_table, write_results
from mosim.studies.runner import Failure, Watcher, run_jobs

__all__ = [
    "DATA_FOLDER",
    "RESULTS_FILE",
    "RESULT_FILE",
    "BaselineJob",
    "Failure",
    "Job",
    "Measurement",
    "News",
    "Plan",
    "PlannedRun",
    "PlannedSystem",
    "Runs",
    "Status",
    "Study",
    "SystemRuns",
    "TrainingJob",
    "Variant",
    "Watcher",
    "plan_study",
    "plot_systems",
    "read_study",
    "result_table",
    "run_jobs",
    "write_results",
]
