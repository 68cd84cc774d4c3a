"""What a run decided, on disk and back."""
