"""What the command line runs: comparisons, a training example, losses of files."""
