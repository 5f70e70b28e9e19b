"""Mistakes of a user's that reading results can meet."""


class AnalysisError(Exception):
    """Results that are asked for and cannot be shown; the message says what is wrong, where, and what there is."""
