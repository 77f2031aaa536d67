"""What runs inside a lab: entry point, readiness, apps. Standard library and Jupyter only, since it starts with every lab."""
