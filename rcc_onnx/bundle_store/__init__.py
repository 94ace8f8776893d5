"""Installs bundles in the data folder, removes them, and exports them as zip files."""
