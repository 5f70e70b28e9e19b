"""Masses, forces, contacts and limits of a tree, found from data."""
