"""`python -m persistentq` is the `persistentq` command."""

from persistentq.launch import main

raise SystemExit(main())
