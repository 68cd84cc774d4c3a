"""`detrun.minimize`: parameters that make the mean loss small, found by gradients of whatever meaning was chosen."""
