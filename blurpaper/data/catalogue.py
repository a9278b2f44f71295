"""Known sets of photographs: contents, licence, origin and place. Nothing here uses the network.

Checksums are those that torchvision publishes (VOC 2012), that FastAI.jl publishes
(Imagewoof), of the file at a fixed commit (the list of NIPS 2017), and that several projects
publish alike (BSDS500). GitHub promises none for the zip of a commit; there the commit and the
zip's own checks stand in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blurpaper.runs.files import UserError


@dataclass(frozen=True)
class PhotographSet:
    """A set of photographs.

    Attributes:
        name: of the set, and of its folder below the data folder.
        what: what it shows.
        licence: of the images.
        folders: split -> folder below the data folder.
        counts: split -> images it should hold.
        classes: that its training images are labelled with; 0 if it has no such images.
        url: of the archive to download; empty if it must be got by hand.
        checksum: of the archive, ``md5:`` or ``sha256:`` and hexadecimal digits; empty where none
            is published.
        size: of the download, in words.
        layout: (pattern, place) pairs: a file of the archive whose whole name matches the pattern
            goes to the place below the set's own folder; a file that matches none is left out.
        listing: what is downloaded is a list (CSV) of photographs to download one by one.
        by_hand: how to get it where it cannot be fetched.
    """

    name: str
    what: str
    licence: str
    folders: Mapping[str, str]
    counts: Mapping[str, int]
    classes: int = 0
    url: str = ""
    checksum: str = ""
    size: str = ""
    layout: tuple[tuple[str, str], ...] = ()
    listing: bool = False
    by_hand: str = ""

    @property
    def how_to_get(self) -> str:
        """Contents of the set and how to get it, without a full stop."""
        return f"{self.what}; {self.by_hand or f'get it by `blurpaper data fetch {self.name}`'}"

    def lacks(self, place: Path) -> str:
        """One sentence: a folder or file of the set is not there, what it is and how to get it."""
        return (
            f"{self.name} is not at {place.absolute()} (BLURPAPER_DATA names the folder it is in): "
            f"{self.how_to_get}."
        )

    @property
    def archive(self) -> str:
        """Place of the downloaded file below the data folder, or to put it by hand."""
        return f"archives/{self.url.rpartition('/')[2]}"

    def there(self, root: Path) -> list[str]:
        """The splits whose folders exist below the data folder."""
        return [split for split, folder in self.folders.items() if (root / folder).is_dir()]


_IMAGENET = "ImageNet's terms: research and teaching only"
_VOC = "voc2012/VOCdevkit/VOC2012"
_SAMPLE = "bc69043e2862758a1906c6a24a792bb28c6bb2ff"
_CLEVERHANS = (
    "https://raw.githubusercontent.com/cleverhans-lab/cleverhans/"
    "574efc1d2f5c7e102c78cf0e937654e847267522/cleverhans_v3.1.0/examples/"
    "nips17_adversarial_competition/dataset"
)

CATALOGUE: dict[str, PhotographSet] = {
    source.name: source
    for source in (
        PhotographSet(
            name="imagenet-sample",
            what="1,000 training photographs of ImageNet, one a class",
            licence=_IMAGENET,
            folders={"train": "imagenet-sample/train"},
            counts={"train": 1000},
            classes=1000,
            url=f"https://github.com/EliSchwartz/imagenet-sample-images/archive/{_SAMPLE}.zip",
            size="110 MB",
            layout=((r"[^/]+/((n\d{8})_[^/]+\.JPEG)", r"train/\2/\1"),),
        ),
        PhotographSet(
            name="nips2017-dev",
            what="1,000 photographs with ImageNet labels: the development set of the NIPS 2017 "
            "adversarial competition",
            licence="CC BY 2.0 each, authors in attribution.csv",
            folders={"test": "nips2017-dev/val"},
            counts={"test": 1000},
            url=f"{_CLEVERHANS}/dev_dataset.csv",
            checksum="sha256:b85ae40a1d5d0d95b77d30b8cabec140020a00cbcc9aebc6921b77a270fb743d",
            size="a list of 0.3 MB, then 1,000 photographs from Flickr",
            listing=True,
        ),
        PhotographSet(
            name="ilsvrc-val-sample",
            what="946 images of ILSVRC-2012's validation set, of 503 classes: a sample of "
            "convenience, of which 621 look selected and 866 are small (smaller side about 225)",
            licence=_IMAGENET,
            folders={"test": "ilsvrc-val-sample/val"},
            counts={"test": 946},
            by_hand="a selection made for this project from public repositories, the aspect of "
            "squashed images restored; put other images of that set in val/<wnid>/",
        ),
        PhotographSet(
            name="amd-tiny",
            what="256 photographs that are not of ImageNet, labelled with 236 of its classes: "
            "small, the median of the smaller side 292, grey bars cut off",
            licence="MIT, of the repository that carries them",
            folders={"test": "amd-tiny/val"},
            counts={"test": 256},
            by_hand="a selection made for this project; its images and labels are in "
            "github.com/kiritigowda/MIVisionX-inference-analyzer: cut off the grey bars and put "
            "them in val/<wnid>/",
        ),
        PhotographSet(
            name="imagewoof",
            what="ten breeds of dog of ImageNet, smaller side 320: Imagewoof2-320 of fast.ai",
            licence=_IMAGENET,
            folders={"train": "imagewoof/train", "test": "imagewoof/val"},
            counts={"train": 9025, "test": 3929},
            classes=10,
            url="https://s3.amazonaws.com/fast-ai-imageclas/imagewoof2-320.tgz",
            checksum="sha256:4e4905ed7643120daaf9bf3b2ef7f3a7e8396d9bdaf254a38c6f01f618b4973d",
            size="328 MB",
            layout=((r"[^/]+/((?:train|val)/n\d{8}/[^/]+\.JPEG)", r"\1"),),
        ),
        PhotographSet(
            name="voc2012",
            what="PASCAL VOC 2012, training and validation images with segmentations",
            licence="Flickr's terms of use",
            folders={"train": f"{_VOC}/JPEGImages", "segmentations": f"{_VOC}/SegmentationClass"},
            counts={"train": 17125, "segmentations": 2913},
            url="https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            checksum="md5:6cd6e144f989b92b3379bac3b3de84fd",
            size="2.0 GB",
            layout=((r"VOCdevkit/VOC2012/.+", r"\g<0>"),),
        ),
        PhotographSet(
            name="voc-animals",
            what="the photographs of VOC 2012's segmentation set that show an animal",
            licence="Flickr's terms of use",
            folders={"train": "voc-animals/VOCdevkit/VOC2012/JPEGImages"},
            counts={"train": 660},
            by_hand="a selection made for this project; the whole set does as well: `blurpaper "
            "data fetch voc2012`, then "
            "-p agreement.train_set=imagenet-sample+imagewoof+voc2012+bsds500 "
            "-p segmentation.data=voc2012",
        ),
        PhotographSet(
            name="bsds500",
            what="natural photographs of 481 x 321 pixels: the Berkeley segmentation data set",
            licence="research and teaching only",
            folders={"train": "bsds500/train", "test": "bsds500/test"},
            counts={"train": 200, "test": 200},
            url="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/"
            "BSR_bsds500.tgz",
            checksum="sha256:97e49d31764f3912f0c4122707d53062ac9e783ba0f095e447a4d53c1a41af8e",
            size="71 MB",
            layout=((r"BSR/BSDS500/data/images/((?:train|test)/[^/]+\.jpg)", r"\1"),),
        ),
        PhotographSet(
            name="imagenet",
            what="ILSVRC-2012, a thousand classes",
            licence=_IMAGENET,
            folders={"train": "imagenet/train", "test": "imagenet/val"},
            counts={"train": 1281167, "test": 50000},
            classes=1000,
            by_hand="it cannot be fetched: register at image-net.org and put its images in "
            "train/<wnid>/ and val/<wnid>/",
        ),
    )
}
"""Every known set by name."""


def known_set(name: str) -> PhotographSet:
    """A known set.

    Raises:
        UserError: for an unknown name, listing those there are.
    """
    if name not in CATALOGUE:
        raise UserError(f"a set of photographs is one of {', '.join(CATALOGUE)}. Got {name!r}.")
    return CATALOGUE[name]
