"""Trajectories from files of others."""
