"""How the system is run: the images it ships in, the cluster it runs on, and whether its interfaces ask who calls."""
