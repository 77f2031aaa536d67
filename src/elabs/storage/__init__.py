"""Homes: where they are, who owns which ids, quotas. Knows files and ids, and nothing of containers or of the hub."""
