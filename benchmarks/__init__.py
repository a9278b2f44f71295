"""Ours beside the best of others, on this machine: ``blurpaper bench``; :mod:`benchmarks.suite`
lists what it measures.
"""
