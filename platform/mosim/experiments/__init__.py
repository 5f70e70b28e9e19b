"""What is done with simulators and policies: studies, and sweeps under Ray Tune."""
