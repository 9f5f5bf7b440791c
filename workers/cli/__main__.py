"""``python -m workers.cli`` is the console script."""

from workers.cli.main import main

main()
