"""The command line: ``main`` runs it, each other module is a command or a group of them."""
