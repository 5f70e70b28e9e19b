"""Studies: variants of recipes, trained on several systems under several seeds, and measured alike."""

from mosim.experiments.study.config import DATA_FOLDER, Study, SystemRuns, Variant, read_study
from mosim.experiments.study.jobs import RESULT_FILE, BaselineJob, Job, JobEvent, Measurement, Status, TrainingJob
from mosim.experiments.study.plan import Plan, PlannedRun, PlannedSystem, plan_study
from mosim.experiments.study.results import COLUMNS, RESULTS_FILE, Runs, plot_systems, result_table, write_results
from mosim.experiments.study.runner import Failure, Watcher, run_jobs
from mosim.experiments.study.watcher import StudyWatcher, study_summary
from mosim.experiments.study.whole_study import StudyResults, check_study, run_study

__all__ = [
    "COLUMNS",
    "DATA_FOLDER",
    "RESULTS_FILE",
    "RESULT_FILE",
    "BaselineJob",
    "Failure",
    "Job",
    "JobEvent",
    "Measurement",
    "Plan",
    "PlannedRun",
    "PlannedSystem",
    "Runs",
    "Status",
    "Study",
    "StudyResults",
    "StudyWatcher",
    "SystemRuns",
    "TrainingJob",
    "Variant",
    "Watcher",
    "check_study",
    "plan_study",
    "plot_systems",
    "read_study",
    "result_table",
    "run_jobs",
    "run_study",
    "study_summary",
    "write_results",
]
