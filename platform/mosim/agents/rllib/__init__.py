"""RLlib behind mosim's recipes: all of mosim that imports `ray.rllib`."""
