"""MLflow: what runs say goes to a journal on disk first, and from there to the tracking server, now or later."""

from mosim.tracking.destination import OFF, absolute_uri, default_tracking_uri, ui_command, without_password
from mosim.tracking.events import RunStatus
from mosim.tracking.git_folder import git_commit
from mosim.tracking.interface import Interface, server_address
from mosim.tracking.limits import reason
from mosim.tracking.mlflow_settings import import_mlflow, store_errors
from mosim.tracking.model_folder import ModelFolder, read_model_folder, write_model_folder
from mosim.tracking.provenance import environment_tags
from mosim.tracking.synchronisation import sync
from mosim.tracking.tracker import TrackedRun, Tracker

__all__ = [
    "OFF",
    "Interface",
    "ModelFolder",
    "RunStatus",
    "TrackedRun",
    "Tracker",
    "absolute_uri",
    "default_tracking_uri",
    "environment_tags",
    "git_commit",
    "import_mlflow",
    "read_model_folder",
    "reason",
    "server_address",
    "store_errors",
    "sync",
    "ui_command",
    "without_password",
    "write_model_folder",
]
