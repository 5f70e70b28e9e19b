"""RLlib's learners of single small networks, without what RLlib does besides for each minibatch."""
