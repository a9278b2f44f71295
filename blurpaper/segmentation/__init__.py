"""Semantic segmentation by Zoomout, its training batches and its scores per pixel (Section 5)."""
