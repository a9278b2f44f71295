"""Rows to pages: tables, figures, chapters through papermill, the built book."""
