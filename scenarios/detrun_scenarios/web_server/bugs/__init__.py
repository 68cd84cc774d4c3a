"""Planted bugs: each replaces one method of a system that is right, and is named by what it does."""
