"""What is learned: digits, a small network in torch, its optimizer, and gradients that are made smaller to be sent."""
