"""The three programs of an instance (labs' runtime, proxy, hub), and the two that may keep them running: supervisord for `up`, systemd for a service."""
