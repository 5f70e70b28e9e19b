"""Contacts and joint limits as constraint forces."""
