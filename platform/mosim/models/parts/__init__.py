"""What kinds of models are built of: inputs, networks, activations of actuators, and integrators."""
