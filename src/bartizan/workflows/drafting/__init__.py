"""What `bartizan init` knows: which files tell of models, data, code and infrastructure, and how to ask for the rest."""
