"""Footprints: the objects that each step touches and how, for partial-order reduction, coverage and race reports."""
