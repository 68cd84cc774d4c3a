"""Small real systems that detrun runs, records and differentiates. Run them from a checkout; they are left out of the package."""
