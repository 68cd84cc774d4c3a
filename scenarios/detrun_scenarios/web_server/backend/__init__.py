"""What the web server stands on: the database with its client, and the upstream service."""
