"""What runs on the machine."""
