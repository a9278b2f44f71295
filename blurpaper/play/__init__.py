"""The page with a blur slider: which blurs it offers, what the networks see under each, and its
markup.
"""
