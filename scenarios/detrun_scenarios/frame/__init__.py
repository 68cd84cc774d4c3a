"""What every scenario shares: its declaration, how it is found, its programs, and what is done with them."""
