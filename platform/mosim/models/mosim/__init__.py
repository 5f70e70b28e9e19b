"""The neural simulator: a predictor, constraints and correctors under an integrator."""
