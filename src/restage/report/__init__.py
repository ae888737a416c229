"""Figures, pages and tables of what was found and how it was made."""

import os

# Jupyter names a backend of its own here, with which matplotlib cannot be imported elsewhere.
os.environ.pop("MPLBACKEND", None)
