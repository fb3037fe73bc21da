"""Stage runners as jobs of a Slurm cluster: an agent on the node runs them and tells the control plane what happens."""
