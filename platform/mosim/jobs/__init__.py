"""Work in other processes: Ray's start, and one pool of workers that may be lost."""
