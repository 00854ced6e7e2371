"""`python -m jpegfreq`."""

from jpegfreq.cli import main

raise SystemExit(main())
