"""Mutants of the core modules: whether the tests would notice. Run by ``make mutants``, not by ``make test``."""
