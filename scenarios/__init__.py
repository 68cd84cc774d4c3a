"""Small real systems that detrun runs, records and differentiates. They run from a checkout only."""
