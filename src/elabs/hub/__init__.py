"""JupyterHub put together: login, spawner, pages, services. `configure` sets everything from the model."""
