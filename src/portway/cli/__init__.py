"""The command line. One file per command family; heavy imports live inside the commands."""
