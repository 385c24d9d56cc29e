"""Where jobs run: one file for each implementation of the port `engine.ports.Executor`."""
