"""What programs use in place of plain memory and randomness: `Atomic`, `Shared`, `Buffer`, keyed draws, `sleep`."""
