"""Planted bugs: each replaces one method of a machine that is right, and is named by what it does."""
