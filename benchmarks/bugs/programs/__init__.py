"""The programs, one or one family a file: plain `threading` and `trio`, as a person would write them.

Each module has ``BUGGY`` and ``FIXED``, or functions that make them for a number of threads. The fixed one differs by
the usual repair alone and holds in every schedule. The opening of a module names the source, the interleaving in which
the bug shows, and in what this version departs from the original.
"""
