"""Bugs reported against released libraries, each a small program that a user might write to test the library.

Each file's opening says what was reported and where. `main` is the program; its assertion is what the library
promises. None of them imports detrun.
"""
