"""What a tree of masses has learned, in MuJoCo's words, and as an MJCF file."""
