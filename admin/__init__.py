"""The command line of the queue: `python -m admin.admin`, or `persistentq admin` of an installed wheel."""
