"""Bundles put into the data folder, taken out of it, and handed on as zip files."""
