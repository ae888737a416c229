"""What is configured: the grid of backbones, recipes, first stages and datasets, and its paths."""
