"""Every plot, one function a figure, by one hand: one palette, intervals drawn, labels at the
lines, vector graphics.

A function gives a figure, or a list of such that a page sets beside one another where there is
room.
"""
