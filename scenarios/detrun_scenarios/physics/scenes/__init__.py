"""Small pieces of mechanics whose motion is exact between events: a module each."""
