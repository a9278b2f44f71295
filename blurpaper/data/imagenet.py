"""ImageNet's thousand classes: WordNet ids and names, in the order of the networks' outputs."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1)
def imagenet_wnids() -> tuple[str, ...]:
    """The thousand WordNet ids in ImageNet's order, which is alphabetical."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo().label_names())


@lru_cache(maxsize=1)
def imagenet_names() -> tuple[str, ...]:
    """The thousand class names in ImageNet's order, the first synonym of each, made unique by its
    WordNet id.
    """
    from timm.data import ImageNetInfo

    short = [description.split(",")[0] for description in ImageNetInfo().label_descriptions()]
    return tuple(
        name if short.count(name) == 1 else f"{name} ({wnid})"
        for name, wnid in zip(short, imagenet_wnids(), strict=True)
    )
