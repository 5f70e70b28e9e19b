"""What is in a dataset, and whether it is motion of the system that it is said to be of."""
