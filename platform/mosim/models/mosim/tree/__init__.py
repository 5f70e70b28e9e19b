"""The predictor that is a tree of masses on a robot's drawing."""
