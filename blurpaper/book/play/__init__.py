"""The page with a blur slider: its blurs, what the networks see under each, and its markup."""
