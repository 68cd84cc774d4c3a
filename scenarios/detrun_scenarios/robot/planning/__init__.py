"""What to do, and along which path: symbols first, then a grid, then a smooth course."""
