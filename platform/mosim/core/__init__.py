"""What everything stands on: configuration, files and storage, errors, the console, locks, the identity of a run."""
