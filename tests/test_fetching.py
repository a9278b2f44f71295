"""Sets of photographs: downloads from a server of our own, resumed, checked, unpacked whole or not
at all, and verified.
"""

import csv
import hashlib
import io
import re
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from blurpaper.cli import main
from blurpaper.data import fetching, inventory, photos, sources
from blurpaper.data.fetching import FetchError, fetch
from blurpaper.data.reading import read_image
from blurpaper.data.sources import SOURCES, Archive, Source

WNIDS = ("n01440764", "n01443537")


class Server(ThreadingHTTPServer):
    """Files by path; ``cuts`` says after how many bytes the connections to a path break, one number
    each.
    """

    daemon_threads = True

    def __init__(self):
        self.files, self.cuts, self.moved, self.ranges, self.asked = {}, {}, {}, True, []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server, path = self.server, self.path[1:]
        server.asked.append((path, self.headers.get("Range")))
        if path in server.moved:
            self.send_response(302)
            self.send_header("Location", server.moved[path])
            self.end_headers()
            return
        if path not in server.files:
            self.send_error(404)
            return
        content, start = server.files[path], 0
        if server.ranges and (
            wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        ):
            start = int(wanted[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cuts = server.cuts.get(path, [])
        self.wfile.write(content[start : cuts.pop(0) if cuts else None])


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
        real, file = SOURCES[like], f"{name}.archive"
        server.files[file] = content
        checksum = "sha256:" + hashlib.sha256(content).hexdigest() if checksum is None else checksum
        folders = {split: place.replace(like, name, 1) for split, place in real.folders.items()}
        archive, counts = (
            Archive(server.url(file), file, checksum, "1 kB"),
            counts or dict.fromkeys(folders, 2),
        )
        made = Source(name, "a toy", "none", folders, counts, archive, real.layout, real.listing)
        monkeypatch.setitem(sources.SOURCES, name, made)
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


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.name)
def test_a_known_set_says_where_it_comes_from_and_goes_to(source):
    assert source.counts.keys() == source.folders.keys()
    assert all(place.startswith(f"{source.name}/") for place in source.folders.values())
    if source.archive is None:
        assert source.by_hand
        return
    assert source.archive.url.startswith("https://")
    assert source.archive.file == PurePosixPath(source.archive.file).name
    assert bool(source.layout) != source.listing
    digits = {"md5": 32, "sha256": 64}
    kind, _, value = source.archive.checksum.partition(":")
    assert not kind or re.fullmatch(rf"[0-9a-f]{{{digits[kind]}}}", value)


def test_addresses_and_checksums_are_those_torchvision_publishes():
    from torchvision.datasets.imagenette import Imagenette
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    def of(name):
        archive = SOURCES[name].archive
        return archive.url, archive.checksum.removeprefix("md5:")

    assert of("imagenette") == Imagenette._ARCHIVES["320px"]
    voc = DATASET_YEAR_DICT["2012"]
    assert of("voc2012")[1] == voc["md5"]
    assert of("voc2012")[0].rpartition("/")[2] == voc["filename"]


@pytest.mark.parametrize("name", sorted(SOURCES.keys() & photos.SETS.keys()))
def test_a_set_is_read_from_where_it_is_put(name):
    if name != "voc2012":  # whose one folder of images holds all splits
        assert photos.SETS[name] == SOURCES[name].folders
    assert photos.HOW_TO_GET[name] == SOURCES[name].how_to_get


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
        ("imagenette", "imagenette2-320/noisy_imagenette.csv", None),
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
        match.expand(to) for at, to in SOURCES[name].layout if (match := re.fullmatch(at, file))
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
    assert str(root / "toy") in said
    assert inventory.verify("toy") == []
    assert "left alone" in fetch("toy") and len(server.asked) == 1


def test_a_zip_set_is_fetched_whole(offer, root):
    files = {f"images-abc/{wnid}_a_name.JPEG": jpeg() for wnid in WNIDS} | {
        "images-abc/README.md": b""
    }
    offer("toy", zipped(files), like="imagenet-sample", checksum="")
    fetch("toy")
    assert below(root / "toy") == [f"train/{wnid}/{wnid}_a_name.JPEG" for wnid in WNIDS]
    assert inventory.verify("toy") == []


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
    offer("toy", as_csv(rows), like="nips2017-dev", counts={"test": 5})
    said = fetch("toy")
    assert below(root / "toy") == [
        "attribution.csv",
        "left_out.csv",
        "val/n01440764/a.png",
        "val/n15075141/b.png",
    ]
    image = read_image(root / "toy/val/n01440764/a.png")
    assert tuple(image.shape) == (3, 299, 299)
    assert image.reshape(3, -1).unique(dim=1).flatten().tolist() == [0, 0, 255], (
        "TrueLabel 1 is tench, its box all blue"
    )
    assert "3 of 5" in said and "(c, d, e)" in said
    with (root / "toy/left_out.csv").open() as file:
        reasons = {one["image"]: one["reason"] for one in csv.DictReader(file)}
    assert "404" in reasons["c"] and "no image" in reasons["d"] and "removed" in reasons["e"]
    with (root / "toy/attribution.csv").open() as file:
        first = next(csv.DictReader(file))
    assert (first["file"], first["imagenet_index"], first["author"]) == (
        "val/n01440764/a.png",
        "0",
        "Ann a",
    )
    assert inventory.verify("toy") == [], "what was left out is not missing"


def test_photographs_that_arrived_are_kept_when_the_network_goes_away(
    offer, server, root, monkeypatch
):
    from blurpaper.data import listing

    monkeypatch.setattr(listing, "TOGETHER", 1)
    server.files["a.jpg"] = server.files["b.jpg"] = jpeg()
    rows = [row(server, "a"), row(server, "b")]
    rows[1]["URL"] = "http://127.0.0.1:9/b.jpg"
    offer("toy", as_csv(rows), like="nips2017-dev", counts={"test": 2})
    with pytest.raises(
        FetchError, match=r"cannot download http://127\.0\.0\.1:9/b\.jpg .*no connection.*are kept"
    ):
        fetch("toy")
    assert not (root / "toy").exists()
    rows[1]["URL"] = server.url("b.jpg")
    offer("toy", as_csv(rows), like="nips2017-dev", counts={"test": 2})
    (root / "archives" / "toy.archive").unlink()
    server.asked.clear()
    fetch("toy")
    assert [path for path, _ in server.asked] == ["toy.archive", "b.jpg"]


def test_a_photograph_that_was_not_reached_is_asked_for_once_more(offer, server, root):
    server.files["a.jpg"] = server.files["b.jpg"] = jpeg(side=99)
    server.cuts["b.jpg"] = [50]
    offer("toy", as_csv([row(server, "a"), row(server, "b")]), like="nips2017-dev")
    fetch("toy")
    assert inventory.verify("toy") == [] and inventory.listing.left_out(root / "toy") == 0


def test_a_download_that_is_cut_off_goes_on_from_there(offer, server, root):
    content = tar(dogs(side=256), "w")
    offer("toy", content)
    server.cuts["toy.archive"] = [len(content) // 2]
    fetch("toy")
    (_, first), (_, second) = server.asked
    start = int(re.fullmatch(r"bytes=(\d+)-", second)[1])
    assert first is None
    assert 0 < start <= len(content) // 2 and start > len(content) // 2 - 2 * fetching.BLOCK
    assert (root / "archives" / "toy.archive").read_bytes() == content
    assert inventory.verify("toy") == []


def test_a_part_of_an_earlier_run_is_taken_up(offer, server, root):
    content = tar(dogs())
    offer("toy", content)
    part = root / "archives" / "toy.archive.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content[:100])
    fetch("toy")
    assert server.asked == [("toy.archive", "bytes=100-")]
    assert not part.exists() and (root / "archives" / "toy.archive").read_bytes() == content


@pytest.mark.parametrize("lying", ["whole", "too much"])
def test_a_part_that_is_whole_or_too_long_is_settled(offer, server, root, lying):
    content = tar(dogs())
    offer("toy", content)
    part = root / "archives" / "toy.archive.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content if lying == "whole" else content + b"more")
    fetch("toy")
    assert (root / "archives" / "toy.archive").read_bytes() == content
    assert len(server.asked) == (1 if lying == "whole" else 2)


def test_a_server_that_gives_no_ranges_is_asked_for_the_whole(offer, server, root):
    content = tar(dogs())
    offer("toy", content)
    server.ranges = False
    part = root / "archives" / "toy.archive.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 100)
    fetch("toy")
    assert (root / "archives" / "toy.archive").read_bytes() == content


def test_a_server_that_always_cuts_is_given_up_and_what_came_is_kept(offer, server, root):
    content = tar(dogs(side=256), "w")
    offer("toy", content)
    server.cuts["toy.archive"] = [fetching.BLOCK + 1] + [0] * 20
    with pytest.raises(FetchError, match="cut off"):
        fetch("toy")
    assert (root / "archives" / "toy.archive.part").stat().st_size >= fetching.BLOCK
    assert len(server.asked) == 2 and nothing_but_archives(root)


def test_an_archive_put_there_by_hand_is_used_without_downloading(offer, server, root):
    content = tar(dogs())
    offer("toy", content)
    (root / "archives").mkdir(parents=True)
    (root / "archives" / "toy.archive").write_bytes(content)
    fetch("toy")
    assert server.asked == [] and inventory.verify("toy") == []


# --- What goes wrong ------------------------------------------------------------------------------


def test_a_wrong_checksum_is_told_and_the_file_removed(offer, root):
    content = tar(dogs())
    offer("toy", content, checksum="md5:" + "0" * 32)
    with pytest.raises(FetchError) as caught:
        fetch("toy")
    assert hashlib.md5(content).hexdigest() in str(caught.value) and "0" * 32 in str(caught.value)
    assert below(root / "archives") in ([], [".toy.lock"]) and nothing_but_archives(root)


@pytest.mark.parametrize(
    "name",
    [
        "../out.JPEG",
        "toy/train/n01440764/../../../../out.JPEG",
        "/tmp/out.JPEG",
        "..\\out.JPEG",
        "C:/out",
    ],
)
@pytest.mark.parametrize("pack", [tar, zipped])
def test_an_archive_that_names_a_file_outside_is_refused(offer, root, pack, name):
    offer("toy", pack(dogs() | {name: jpeg()}))
    with pytest.raises(FetchError, match="outside its own folder"):
        fetch("toy")
    assert nothing_but_archives(root) and not list(root.parent.rglob("out*"))


def test_a_link_in_an_archive_leads_nowhere(offer, root, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("toy/train/n01440764")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        for name, content in dogs().items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    offer("toy", buffer.getvalue())
    fetch("toy")
    assert not any(path.is_symlink() for path in root.rglob("*")) and not list(
        tmp_path.glob("*.JPEG")
    )


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
    from blurpaper.data import unpacking

    def stop(*arguments):
        raise KeyboardInterrupt

    offer("toy", tar(dogs()))
    monkeypatch.setattr(unpacking.shutil, "copyfileobj", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch("toy")
    assert nothing_but_archives(root)


def test_a_full_disk_is_one_sentence(offer, root, monkeypatch):
    from blurpaper.data import unpacking

    def full(*arguments):
        raise OSError(28, "No space left on device")

    offer("toy", tar(dogs()))
    monkeypatch.setattr(unpacking.shutil, "copyfileobj", full)
    with pytest.raises(
        FetchError, match=r"No space left on device; free some space .*BLURPAPER_DATA"
    ):
        fetch("toy")
    assert nothing_but_archives(root)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/toy.tgz", "no connection"),
        ("https://127.0.0.1:9/toy.tgz", "no connection"),
        ("http://example.org/toy.tgz", "no https address"),
        ("", "404"),
    ],
)
def test_what_cannot_be_downloaded_is_one_sentence_that_says_what_to_do(
    server, offer, root, monkeypatch, url, reason
):
    archive = Archive(url or server.url("nowhere"), "toy.archive", "", "1 kB")
    made = offer("toy", b"")
    monkeypatch.setitem(
        sources.SOURCES,
        "toy",
        Source("toy", "a toy", "none", made.folders, made.counts, archive, made.layout),
    )
    result = CliRunner().invoke(main, ["data", "fetch", "toy"])
    assert result.exit_code == 2
    assert archive.url in result.output and reason in result.output
    assert (
        str(root / "archives" / "toy.archive") in result.output and "Traceback" not in result.output
    )
    assert nothing_but_archives(root) and not list(root.rglob("*.part"))


def test_a_server_may_not_send_on_to_an_address_without_encryption(offer, server):
    offer("toy", tar(dogs()))
    server.moved["toy.archive"] = "http://example.org/toy.archive"
    with pytest.raises(FetchError, match="sends on to one that is not"):
        fetch("toy")


def test_a_folder_that_is_not_the_whole_set_is_not_touched(offer, server, root):
    offer("toy", tar(dogs()))
    mine = root / "toy" / "train" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(FetchError, match="in the way"):
        fetch("toy")
    assert mine.read_text() == "mine" and server.asked == []


def test_imagenet_cannot_be_fetched(root):
    with pytest.raises(
        FetchError,
        match=r"register at image-net\.org.*val/<wnid>/ below " + re.escape(str(root / "imagenet")),
    ):
        fetch("imagenet")


# --- Verifying, listing ---------------------------------------------------------------------------


def test_verify_finds_a_truncated_image_a_missing_one_and_a_changed_archive(offer, root):
    offer("toy", tar(dogs()))
    fetch("toy")
    broken = root / "toy/train" / WNIDS[0] / f"{WNIDS[0]}_1.JPEG"
    broken.write_bytes(broken.read_bytes()[:-200])
    (root / "toy/val" / WNIDS[1] / f"{WNIDS[1]}_1.JPEG").unlink()
    archive = root / "archives" / "toy.archive"
    archive.write_bytes(b"changed")
    result = CliRunner().invoke(main, ["data", "verify", "toy"])
    assert result.exit_code == 1
    sentences = result.output.splitlines()
    assert len(sentences) == 3 and all(sentence.endswith(".") for sentence in sentences)
    assert str(broken) in sentences[0] and "damaged" in sentences[0]
    assert f"{root / 'toy/val'} holds 1 images, expected 2" in sentences[1]
    assert str(archive) in sentences[2] and "sha256" in sentences[2]


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
    for name, source in SOURCES.items():
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
