"""Drawing workspaces under a seed: one function for each thing that a file can say."""
