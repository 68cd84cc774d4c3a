"""Planted bugs: each replaces one method of a server that is right, and is named by what it does."""
