"""Planted bugs: each replaces one method of a part that is right, and is named by what it does."""
