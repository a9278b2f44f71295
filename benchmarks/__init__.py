"""Side by side with the peers; needs a checkout, and the extra ``bench``."""
