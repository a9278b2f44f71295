"""Sets of photographs: downloads from a server of our own, checked, unpacked whole or not at all,
and verified.
"""

import contextlib
import csv
import dataclasses
import errno
import hashlib
import io
import os
import re
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import requests
from click.testing import CliRunner
from PIL import Image

from blurpaper.cli import main
from blurpaper.data import catalogue, download, folders
from blurpaper.data.catalogue import CATALOGUE
from blurpaper.data.download import FetchError, fetch, verify
from blurpaper.data.images import read_image
from blurpaper.runs.files import UserError

WNIDS = ("n01440764", "n01443537")


class Server(ThreadingHTTPServer):
    """Files by path; ``cuts`` says after how many bytes the first connections to a path break, one
    number each; ``moved`` where a path sends on to.
    """

    daemon_threads = True

    def __init__(self):
        self.files, self.cuts, self.moved, self.asked = {}, {}, {}, []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server, path = self.server, self.path[1:]
        server.asked.append(path)
        if path in server.moved:
            self.send_response(302)
            self.send_header("Location", server.moved[path])
            self.end_headers()
            return
        if path not in server.files:
            self.send_error(404)
            return
        content, cuts = server.files[path], server.cuts.get(path, [])
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: cuts.pop(0) if cuts else None])


@pytest.fixture
def server():
    with Server() as made:
        thread = threading.Thread(
            target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        thread.start()
        yield made
        made.shutdown()


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """The data folder: empty."""
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "data"


@pytest.fixture
def offer(server, monkeypatch):
    """A function that puts a file on the server and a set made of it among the known ones, with the
    layout of a real one.
    """

    def put(name, content, like="imagewoof", checksum=None, counts=None):
        real = CATALOGUE[like]
        file = f"{name}.archive"
        server.files[file] = content
        checksum = "sha256:" + hashlib.sha256(content).hexdigest() if checksum is None else checksum
        made = dataclasses.replace(
            real,
            name=name,
            folders={split: place.replace(like, name, 1) for split, place in real.folders.items()},
            counts=counts or dict.fromkeys(real.folders, 2),
            url=server.url(file),
            checksum=checksum,
        )
        monkeypatch.setitem(catalogue.CATALOGUE, name, made)
        return made

    return put


def jpeg(seed=0, side=24):
    buffer = io.BytesIO()
    pixels = np.random.RandomState(seed).randint(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def tar(files, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def dogs(side=24):
    """What Imagewoof's archive holds, in small: two classes, two splits, and a file that is no
    image of it.
    """
    names = [
        f"toy2-320/{split}/{wnid}/{wnid}_1.JPEG" for split in ("train", "val") for wnid in WNIDS
    ]
    return {name: jpeg(seed, side) for seed, name in enumerate(names)} | {
        "toy2-320/noise.csv": b"path",
        "toy2-320/.DS_Store": b"",
    }


def below(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def nothing_but_archives(root):
    return {path.name for path in root.iterdir()} <= {"archives"}


# --- What is known --------------------------------------------------------------------------------


@pytest.mark.parametrize("source", CATALOGUE.values(), ids=lambda source: source.name)
def test_a_known_set_says_where_it_comes_from_and_goes_to(source):
    assert source.counts.keys() == source.folders.keys()
    assert all(place.startswith(f"{source.name}/") for place in source.folders.values())
    if not source.url:
        assert source.by_hand
        return
    assert source.url.startswith("https://")
    assert source.archive == f"archives/{PurePosixPath(source.archive).name}"
    assert bool(source.layout) != source.listing
    digits = {"md5": 32, "sha256": 64}
    kind, _, value = source.checksum.partition(":")
    assert not kind or re.fullmatch(rf"[0-9a-f]{{{digits[kind]}}}", value)


def test_the_checksum_of_voc_is_that_torchvision_publishes():
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    ours, theirs = CATALOGUE["voc2012"], DATASET_YEAR_DICT["2012"]
    assert ours.checksum == f"md5:{theirs['md5']}"
    assert ours.url.rpartition("/")[2] == theirs["filename"]


@pytest.mark.parametrize(
    ("name", "file", "place"),
    [
        (
            "imagenet-sample",
            "imagenet-sample-images-abc/n01440764_tench.JPEG",
            "train/n01440764/n01440764_tench.JPEG",
        ),
        ("imagenet-sample", "imagenet-sample-images-abc/gallery.md", None),
        (
            "imagewoof",
            "imagewoof2-320/val/n02086240/ILSVRC2012_val_00004049.JPEG",
            "val/n02086240/ILSVRC2012_val_00004049.JPEG",
        ),
        ("imagewoof", "imagewoof2-320/noisy_imagewoof.csv", None),
        (
            "voc2012",
            "VOCdevkit/VOC2012/JPEGImages/2007_000027.jpg",
            "VOCdevkit/VOC2012/JPEGImages/2007_000027.jpg",
        ),
        ("bsds500", "BSR/BSDS500/data/images/train/100075.jpg", "train/100075.jpg"),
        ("bsds500", "BSR/BSDS500/data/images/train/Thumbs.db", None),
        ("bsds500", "BSR/BSDS500/data/groundTruth/train/100075.mat", None),
    ],
)
def test_files_of_the_real_archives_go_to_their_places(name, file, place):
    found = [
        match.expand(to) for at, to in CATALOGUE[name].layout if (match := re.fullmatch(at, file))
    ]
    assert found == ([place] if place else [])


# --- Fetching -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_set_is_fetched_whole(offer, root, server, mode):
    files = dogs()
    offer("toy", tar(files, mode))
    said = fetch("toy")
    assert below(root / "toy") == [
        f"{split}/{wnid}/{wnid}_1.JPEG" for split in ("train", "val") for wnid in WNIDS
    ]
    assert (root / "toy/train" / WNIDS[0] / f"{WNIDS[0]}_1.JPEG").read_bytes() == files[
        f"toy2-320/train/{WNIDS[0]}/{WNIDS[0]}_1.JPEG"
    ]
    assert {path.name for path in root.iterdir()} == {"toy", "archives"}
    assert str(root / "toy") in said and "no published checksum" not in said
    assert verify("toy") == []
    assert "left alone" in fetch("toy") and len(server.asked) == 1


def test_a_zip_set_is_fetched_whole(offer, root):
    files = {f"images-abc/{wnid}_a_name.JPEG": jpeg() for wnid in WNIDS} | {
        "images-abc/README.md": b""
    }
    content = zipped(files)
    offer("toy", content, like="imagenet-sample", checksum="")
    said = fetch("toy")
    assert below(root / "toy") == [f"train/{wnid}/{wnid}_a_name.JPEG" for wnid in WNIDS]
    digest = hashlib.sha256(content).hexdigest()
    assert f"toy.archive has no published checksum; its sha256 is {digest}" in said
    assert verify("toy") == []


COLUMNS = ["ImageId", "URL", "x1", "y1", "x2", "y2", "TrueLabel"]
COLUMNS += ["TargetClass", "OriginalLandingURL", "License", "Author", "AuthorProfileURL"]


def row(server, name, box=(0, 0, 1, 1), label=1, file=None):
    url = server.url(file or f"{name}.jpg")
    return dict(
        zip(
            COLUMNS,
            (name, url, *box, label, 7, "https://page", "https://cc", f"Ann {name}", "https://ann"),
        )
    )


def as_csv(rows):
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def test_a_listed_set_is_fetched_photograph_by_photograph(offer, server, root):
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("blue", (20, 0, 40, 10))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    server.files |= {
        "a.jpg": buffer.getvalue(),
        "b.jpg": jpeg(),
        "d.jpg": b"no image",
        "photo_unavailable.png": jpeg(),
    }
    server.moved["e.jpg"] = server.url("photo_unavailable.png")
    rows = [
        row(server, "a", (0.5, 0, 1, 0.5)),
        row(server, "b", label=1000),
        *(row(server, name) for name in "cde"),
    ]
    listing = as_csv(rows)
    offer("toy", listing, like="nips2017-dev", counts={"test": 5})
    said = fetch("toy")
    assert below(root / "toy") == [
        "attribution.csv",
        "left_out.txt",
        "val/n01440764/a.png",
        "val/n15075141/b.png",
    ]
    image = read_image(root / "toy/val/n01440764/a.png")
    assert tuple(image.shape) == (3, 299, 299)
    assert image.reshape(3, -1).unique(dim=1).flatten().tolist() == [0, 0, 255], (
        "TrueLabel 1 is tench, its box all blue"
    )
    assert "3 of 5" in said and "checksums" in said
    reasons = (root / "toy/left_out.txt").read_text().splitlines()
    assert [line[:3] for line in reasons] == ["c: ", "d: ", "e: "]
    for line, reason in zip(reasons, ("404", "not an image", "removed by its owner"), strict=True):
        assert reason in line
    assert (root / "toy/attribution.csv").read_bytes() == listing
    assert verify("toy") == [], "what was left out is not missing"
    (root / "toy/val/n01440764/a.png").unlink()
    assert len(verify("toy")) == 1


def test_photographs_that_arrived_are_kept_when_the_network_goes_away(offer, server, root):
    server.files["a.jpg"] = server.files["b.jpg"] = jpeg()
    rows = [row(server, "a"), row(server, "b")]
    rows[1]["URL"] = "http://127.0.0.1:9/b.jpg"
    offer("toy", as_csv(rows), like="nips2017-dev", counts={"test": 2})
    with pytest.raises(
        FetchError, match=r"cannot download http://127\.0\.0\.1:9/b\.jpg .*no connec"
    ):
        fetch("toy")
    assert nothing_but_archives(root)
    rows[1]["URL"] = server.url("b.jpg")
    offer("toy", as_csv(rows), like="nips2017-dev", counts={"test": 2})
    server.asked.clear()
    fetch("toy")
    assert server.asked == ["toy.archive", "b.jpg"], "the list has changed, and b was lacking"
    assert verify("toy") == []


def test_a_list_of_which_nothing_is_left_makes_no_set(offer, server, root):
    offer("toy", as_csv([row(server, "a"), row(server, "b")]), like="nips2017-dev")
    with pytest.raises(FetchError, match=r"no photograph of .* is to be had: a: .*404"):
        fetch("toy")
    assert nothing_but_archives(root)


def test_a_download_that_is_cut_off_is_told_and_ends_well_on_the_next_call(offer, server, root):
    content = tar(dogs(side=256), "w")
    offer("toy", content)
    server.cuts["toy.archive"] = [len(content) // 2]
    with pytest.raises(FetchError, match="the connection was cut off"):
        fetch("toy")
    assert below(root) == []
    fetch("toy")
    assert (root / "archives" / "toy.archive").read_bytes() == content
    assert verify("toy") == []


def test_an_archive_that_lies_there_cut_off_is_downloaded_again(offer, server, root):
    content = tar(dogs())
    offer("toy", content)
    (root / "archives").mkdir(parents=True)
    (root / "archives" / "toy.archive").write_bytes(content[:100])
    fetch("toy")
    assert server.asked == ["toy.archive"] and verify("toy") == []


def test_an_archive_put_there_by_hand_is_used_without_downloading(offer, server, root):
    content = tar(dogs())
    offer("toy", content)
    (root / "archives").mkdir(parents=True)
    (root / "archives" / "toy.archive").write_bytes(content)
    fetch("toy")
    assert server.asked == [] and verify("toy") == []


def test_a_fetched_set_is_what_a_profile_reads_of_it(offer):
    """Of Imagewoof's two test images the one that ImageNet's networks have not seen."""
    names = [f"imagewoof2-320/train/{WNIDS[0]}/{WNIDS[0]}_1.JPEG"]
    names += [f"imagewoof2-320/val/{WNIDS[1]}/{one}_9.JPEG" for one in (WNIDS[1], "ILSVRC2012_val")]
    offer("imagewoof", tar({name: jpeg() for name in names}))
    fetch("imagewoof")
    assert folders.load_images("imagewoof", "train").ids == [f"{WNIDS[0]}/{WNIDS[0]}_1.JPEG"]
    images = folders.load_images("imagewoof", "test")
    assert images.ids == [f"{WNIDS[1]}/ILSVRC2012_val_9.JPEG"]
    assert images.classes[images.labels[0]] == "goldfish"


# --- What goes wrong ------------------------------------------------------------------------------


def test_a_wrong_checksum_is_told_and_the_file_removed(offer, root):
    content = tar(dogs())
    offer("toy", content, checksum="md5:" + "0" * 32)
    with pytest.raises(FetchError) as caught:
        fetch("toy")
    assert hashlib.md5(content).hexdigest() in str(caught.value) and "0" * 32 in str(caught.value)
    assert below(root) == []


OUTSIDE = ["../out.JPEG", "toy/train/n01440764/../../../../out.JPEG"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_tar_that_names_a_file_outside_is_refused(offer, root, name):
    offer("toy", tar(dogs() | {name: jpeg()}))
    with pytest.raises(FetchError, match=r"damaged or unsafe \(.*outside the destination"):
        fetch("toy")
    assert nothing_but_archives(root) and not list(root.parent.rglob("out*"))


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_file_outside_that_a_zip_names_is_unpacked_inside(offer, root, name):
    offer("toy", zipped(dogs() | {name: jpeg()}))
    fetch("toy")
    assert {path.name for path in root.iterdir()} == {"archives", "toy"}
    assert all(path.is_relative_to(root / "toy") for path in root.parent.rglob("out*"))


@pytest.mark.parametrize("name", ["/tmp/blurpaper-out.JPEG", "..\\out.JPEG", "C:/out.JPEG"])
@pytest.mark.parametrize("pack", [tar, zipped])
def test_no_other_name_leads_outside_either(offer, root, pack, name):
    offer("toy", pack(dogs() | {name: jpeg()}))
    with contextlib.suppress(FetchError):
        fetch("toy")
    assert {path.name for path in root.iterdir()} <= {"archives", "toy"}
    assert not list(root.parent.rglob("*out*")) and not Path("/tmp/blurpaper-out.JPEG").exists()


def tar_with(kind, target):
    """The toy's archive, with one more member that is no plain file."""
    buffer = io.BytesIO(tar(dogs(), "w"))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        member = tarfile.TarInfo("toy2-320/train/n01440764/more.JPEG")
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../../../../secret"),
        (tarfile.LNKTYPE, "../../../secret"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
    ],
)
def test_links_that_lead_outside_and_devices_are_refused(offer, root, kind, target):
    root.mkdir()
    (root / "secret").write_bytes(jpeg())
    offer("toy", tar_with(kind, target))
    with pytest.raises(FetchError, match="damaged or unsafe"):
        fetch("toy")
    assert below(root) == ["archives/toy.archive", "secret"]


def test_a_link_to_elsewhere_in_the_archive_is_left_out(offer, root):
    offer("toy", tar_with(tarfile.SYMTYPE, "n01440764_1.JPEG"))
    fetch("toy")
    assert len(below(root / "toy")) == 4 and not any(path.is_symlink() for path in root.rglob("*"))
    assert verify("toy") == []


@pytest.mark.parametrize("harm", ["cut", "nonsense", "another"])
@pytest.mark.parametrize("pack", [tar, zipped])
def test_a_bad_archive_leaves_nothing_half_made(offer, root, harm, pack):
    content = pack(dogs(side=64))
    if harm == "another":
        content = pack({"other/file.txt": b"hello"})
    offer(
        "toy",
        {"cut": content[: len(content) // 2], "nonsense": b"nonsense" * 99, "another": content}[
            harm
        ],
    )
    with pytest.raises(FetchError, match=r"remove it and fetch again\.$"):
        fetch("toy")
    assert nothing_but_archives(root)


def test_being_stopped_while_unpacking_leaves_nothing_half_made(offer, root, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    offer("toy", tar(dogs()))
    monkeypatch.setattr(tarfile, "copyfileobj", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch("toy")
    assert nothing_but_archives(root)


@pytest.mark.parametrize("while_it", ["downloads", "unpacks"])
def test_a_full_disk_is_one_sentence(offer, root, monkeypatch, while_it):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    offer("toy", tar(dogs()))
    if while_it == "unpacks":
        monkeypatch.setattr(tarfile, "copyfileobj", full)
    else:
        monkeypatch.setattr(download.pooch.HTTPDownloader, "__call__", full)
    result = CliRunner().invoke(main, ["data", "fetch", "toy"])
    assert result.exit_code == 2
    (said,) = [line for line in result.output.splitlines() if line.startswith("Error")]
    assert f"cannot write {root / 'toy'}: No space left on device; free some space" in said
    assert nothing_but_archives(root)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/toy.tgz", "no connection"),
        ("https://127.0.0.1:9/toy.tgz", "no connection"),
        ("", "404"),
    ],
)
def test_what_cannot_be_downloaded_is_one_sentence_that_says_what_to_do(
    server, offer, root, monkeypatch, url, reason
):
    made = dataclasses.replace(offer("toy", b""), url=url or server.url("toy.tgz"), checksum="")
    monkeypatch.setitem(catalogue.CATALOGUE, "toy", made)
    result = CliRunner().invoke(main, ["data", "fetch", "toy"])
    assert result.exit_code == 2
    assert made.url in result.output and reason in result.output
    assert f"put the file at {root / 'archives' / 'toy.tgz'} by hand" in result.output
    assert "Traceback" not in result.output
    assert below(root) == []


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://example.org/a", True),
        ("http://127.0.0.1:80/a", True),
        ("http://example.org/a", False),
        ("http://127.0.0.1:80@example.org/a", False),
        ("http://127.0.0.1.example.org/a", False),
        ("ftp://example.org/a", False),
    ],
)
def test_nothing_is_taken_without_encryption_but_from_this_machine(address, allowed):
    response = requests.Response()
    response.url, response.status_code = address, 200
    with contextlib.nullcontext() if allowed else pytest.raises(requests.RequestException):
        download._check_response(response)


def test_a_server_may_not_send_on_to_an_address_without_encryption(offer, server, root):
    """Every address of this machine is another machine here, all but one."""
    offer("toy", tar(dogs()))
    server.files["elsewhere"] = tar(dogs())
    server.moved["toy.archive"] = server.url("elsewhere").replace("127.0.0.1", "localhost")
    with pytest.raises(FetchError, match=r"localhost.* is no https address"):
        fetch("toy")
    assert below(root) == []


def test_a_folder_that_is_not_the_whole_set_is_not_touched(offer, server, root):
    offer("toy", tar(dogs()))
    mine = root / "toy" / "train" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(FetchError, match="in the way"):
        fetch("toy")
    assert mine.read_text() == "mine" and server.asked == []


def test_of_two_fetches_at_once_one_makes_the_set_and_the_other_harms_nothing(
    offer, root, monkeypatch
):
    """The second comes to its end while the first unpacks."""
    offer("toy", tar(dogs()))
    plain, said = download._unpack, []

    def unpack(*arguments):
        monkeypatch.setattr(download, "_unpack", plain)
        said.append(fetch("toy"))
        return plain(*arguments)

    monkeypatch.setattr(download, "_unpack", unpack)
    with pytest.raises(UserError, match=r"cannot write .*toy"):
        fetch("toy")
    assert len(said) == 1 and verify("toy") == []
    assert {path.name for path in root.iterdir()} == {"toy", "archives"}


def test_imagenet_cannot_be_fetched(root):
    with pytest.raises(
        FetchError,
        match=r"register at image-net\.org.*val/<wnid>/ below " + re.escape(str(root / "imagenet")),
    ):
        fetch("imagenet")


# --- Verifying, listing ---------------------------------------------------------------------------


def test_verify_finds_a_truncated_image_and_a_missing_one(offer, root):
    offer("toy", tar(dogs()))
    fetch("toy")
    broken = root / "toy/train" / WNIDS[0] / f"{WNIDS[0]}_1.JPEG"
    broken.write_bytes(broken.read_bytes()[:-200])
    (root / "toy/val" / WNIDS[1] / f"{WNIDS[1]}_1.JPEG").unlink()
    result = CliRunner().invoke(main, ["data", "verify", "toy"])
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert str(broken) in first and "damaged" in first and first.endswith(".")
    assert f"{root / 'toy/val'} holds 1 images, expected 2" in second and second.endswith(".")


def test_verify_without_names_reads_what_is_there(offer, root):
    nothing = CliRunner().invoke(main, ["data", "verify"])
    assert nothing.exit_code == 0 and str(root) in nothing.output
    offer("toy", tar(dogs()))
    fetch("toy")
    whole = CliRunner().invoke(main, ["data", "verify"])
    assert (whole.exit_code, whole.output) == (0, "toy is whole.\n")


def test_verify_of_a_set_that_is_not_there_says_how_to_get_it(root):
    result = CliRunner().invoke(main, ["data", "verify", "imagewoof"])
    assert result.exit_code == 1 and result.output.count("blurpaper data fetch imagewoof") == 2
    assert str(root / "imagewoof" / "train") in result.output


def test_list_says_of_every_set_what_it_is_and_how_to_get_it(offer, root):
    offer("toy", tar(dogs()))
    fetch("toy")
    result = CliRunner().invoke(main, ["data", "list"])
    assert result.exit_code == 0
    for name, source in CATALOGUE.items():
        assert f"{name}: {source.what}" in result.output and source.licence in result.output
        assert source.by_hand or f"blurpaper data fetch {name}" in result.output
    assert f"train: there, {root / 'toy/train'}" in result.output
    assert f"train: not there, {root / 'imagewoof/train'}" in result.output


def test_without_a_variable_the_folder_is_data_of_the_current_one(tmp_path, monkeypatch):
    monkeypatch.delenv("BLURPAPER_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(main, ["data", "list"]).output
    assert said.startswith(f"photographs, looked for in {tmp_path / 'data'}:\n")


@pytest.mark.parametrize("verb", ["fetch", "verify"])
def test_an_unknown_set_is_an_error_that_lists_those_there_are(verb):
    result = CliRunner().invoke(main, ["data", verb, "imagenot"])
    assert result.exit_code == 2 and "'imagenot'" in result.output and "imagewoof" in result.output
