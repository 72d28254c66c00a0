"""Image folders: what is read, in which form, and what is refused by path."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.data.encode import encode_images
from assay.data.load import describe
from assay.errors import BadArgumentError, DataError, StoreError

FORMATS = "PNG, JPEG, BMP, GIF, WEBP, TIFF"


def refused(opened, home, **options):
    with pytest.raises(DataError) as caught:
        opened(home, **options)
    return str(caught.value)


def unreadable(home, count, *lines):
    return (
        f"{len(lines)} of {count} files in {home} cannot be read as images: {', '.join(lines)}; "
        "repair or remove them, or leave them out with --skip-bad."
    )


def paint(path, size, *, mode="RGB", seed=0, **options):
    depth = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], depth) if depth > 1 else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, mode).save(path, **options) if mode in (
        "RGB",
        "L",
    ) else Image.fromarray(pixels).convert(mode).save(path, **options)


def test_class_folders_are_the_classes(opened, photos):
    data = opened(photos)
    assert (data.name, data.classes, data.inputs) == ("photos", ("cat", "dog"), (3, 9, 7))
    assert [len(part) for part in (data.train, data.val, data.test)] == [12, 3, 5]
    assert data.ids[0] == "cat/0.png"
    assert [data.ids[i].split("/")[0] for i in range(20)] == [data.classes[y] for y in data.y]
    theirs = np.asarray(Image.open(photos / "dog/3.png")).transpose(2, 0, 1)
    np.testing.assert_array_equal(data.x[data.ids.index("dog/3.png")], theirs)


def test_given_parts_are_kept(opened, photos, tmp_path):
    home = tmp_path / "parted"
    for part, rows in {"train": range(6), "valid": range(6, 8), "test": range(8, 10)}.items():
        for label in ("cat", "dog"):
            (home / part / label).mkdir(parents=True)
            for at in rows:
                (photos / label / f"{at}.png").rename(home / part / label / f"{at}.png")
    data = opened(home)
    assert [len(p) for p in (data.train, data.val, data.test)] == [12, 4, 4]
    assert {data.ids[i].split("/")[0] for i in data.test} == {"test"}
    assert data.classes == ("cat", "dog")


def test_validation_is_carved_from_train_where_only_test_is_given(opened, photos, tmp_path):
    home = tmp_path / "parted"
    (home / "train").mkdir(parents=True)
    (home / "test").mkdir()
    for label in ("cat", "dog"):
        (photos / label).rename(home / "train" / label)
        (home / "test" / label).mkdir()
        paint(home / "test" / label / "x.png", (7, 9), seed=len(label) + ord(label[0]))
    data = opened(home)
    assert [len(p) for p in (data.train, data.val, data.test)] == [17, 3, 2]


def test_the_same_file_in_train_and_test_is_left_out_of_train(opened, photos, tmp_path):
    home = tmp_path / "parted"
    home.mkdir()
    photos.rename(home / "train")
    for label in ("cat", "dog"):
        (home / "test" / label).mkdir(parents=True)
        data = (home / "train" / label / "0.png").read_bytes()
        (home / "test" / label / "again.png").write_bytes(data)
    data = opened(home)
    names = {data.ids[i] for i in (*data.train, *data.val)}
    assert not names & {"train/cat/0.png", "train/dog/0.png"}
    assert describe(data).splitlines()[1:] == [
        "note: Exact copies among the examples: 2; copies stay on one side.",
        "note: Left out, because a later part (validation or test) has a copy: 2.",
    ]


def test_unreadable_files_are_listed_together_and_no_pipe_is_opened(opened, photos):
    whole = (photos / "cat/1.png").read_bytes()
    (photos / "cat/cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "cat/empty.png").write_bytes(b"")
    (photos / "cat/text.jpg").write_text("hello")
    (photos / "dog/notes.txt").write_text("hello")
    (photos / "dog/<img onerror=x>\n\u202e.png").write_bytes(b"=1+1")
    os.mkfifo(photos / "dog/pipe.png")
    assert refused(opened, photos) == unreadable(
        photos,
        26,
        "'cat/cut.png' (truncated or corrupt: image file is truncated)",
        "'cat/empty.png' (0 bytes)",
        f"'cat/text.jpg' (not an image of {FORMATS})",
        f"'dog/<img onerror=x>\\\\n\\\\u202e.png' (not an image of {FORMATS})",
        f"'dog/notes.txt' (not an image of {FORMATS})",
        "'dog/pipe.png' (not a regular file)",
    )


def test_unreadable_files_can_be_left_out_and_are_counted(opened, photos):
    before = opened(photos)
    whole = (photos / "cat/1.png").read_bytes()
    (photos / "cat/00.png").write_bytes(whole[:-60])
    (photos / "cat/text.jpg").write_text("hello")
    data = opened(photos, skip_bad=True)
    assert data.ids == before.ids
    np.testing.assert_array_equal(data.x, before.x)
    assert data.notes[0] == {
        "en": "Left out as unreadable: 2 of 22 files.",
        "zh": "22 个文件中有 2 个无法读取，已剔除。",
    }
    assert data.content_hash != before.content_hash


def test_nothing_but_unreadable_files_is_refused_even_when_they_may_be_skipped(opened, tmp_path):
    for label in ("a", "b"):
        (tmp_path / "junk" / label).mkdir(parents=True)
        (tmp_path / "junk" / label / "x.png").write_bytes(b"x")
    assert refused(opened, tmp_path / "junk", skip_bad=True) == unreadable(
        tmp_path / "junk",
        2,
        f"'a/x.png' (not an image of {FORMATS})",
        f"'b/x.png' (not an image of {FORMATS})",
    )


def test_a_long_list_of_unreadable_files_goes_to_a_file(opened, photos, store):
    for at in range(25):
        (photos / f"cat/bad{at:02}.png").write_bytes(b"x")
    text = refused(opened, photos)
    assert text.startswith(
        f"25 of 45 files in {photos} cannot be read as images: 'cat/bad00.png' ("
    )
    assert text.endswith(
        f"'cat/bad19.png' (not an image of {FORMATS}) and 5 more, all listed in "
        f"{store}/unreadable.txt; repair or remove them, or leave them out with --skip-bad."
    )
    assert len((store / "unreadable.txt").read_text().splitlines()) == 25


def png(width, height):
    """A PNG whose header declares this size, with no pixels to speak of."""

    def piece(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = piece(b"IHDR", header) + piece(b"IDAT", zlib.compress(bytes(10))) + piece(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((10_000, 10_000), "10,000 x 10,000 pixels; the limit is 89,478,485"),
        ((60_000, 60_000), "more pixels than the limit of 89,478,485"),
    ],
)
def test_a_bomb_is_refused_by_what_it_declares(opened, photos, size, reason):
    (photos / "cat/bomb.png").write_bytes(png(*size))
    assert refused(opened, photos) == unreadable(photos, 21, f"'cat/bomb.png' ({reason})")


@pytest.mark.parametrize("kind", ["PPM", "TGA", "ICO"])
def test_other_formats_are_not_decoded_though_pillow_could(opened, photos, kind):
    Image.new("RGB", (16, 16)).save(photos / "cat/whole.png", kind)
    expected = unreadable(photos, 21, f"'cat/whole.png' (not an image of {FORMATS})")
    assert refused(opened, photos) == expected


@pytest.mark.parametrize(
    "head", [b"SIMPLE  =                    T", b"8BPS\0\1", b"%!PS-Adobe-3.0 EPSF"]
)
def test_formats_that_are_not_on_the_list_are_not_decoded(opened, photos, head):
    (photos / "cat/odd.png").write_bytes(head + bytes(3000))
    expected = unreadable(photos, 21, f"'cat/odd.png' (not an image of {FORMATS})")
    assert refused(opened, photos) == expected


def test_links_out_of_the_folder_and_loops_are_not_followed(opened, photos, tmp_path):
    paint(tmp_path / "outside.png", (7, 9))
    os.symlink(tmp_path / "outside.png", photos / "cat/out.png")
    os.symlink(photos / "cat", photos / "cat/loop")
    os.symlink(photos / "cat/self.png", photos / "cat/self.png")
    os.symlink(tmp_path, photos / "zoo")
    copy = "a link to a folder; put a copy in its place"
    assert refused(opened, photos) == unreadable(
        photos,
        24,
        f"'cat/loop' ({copy})",
        "'cat/out.png' (a link to outside the folder; put a copy in its place)",
        "'cat/self.png' (a link to nothing or to itself)",
        f"'zoo' ({copy})",
    )


def test_a_link_inside_the_folder_is_read(opened, photos):
    (photos / "dog/3.png").rename(photos / "dog/.kept")
    os.symlink(".kept", photos / "dog/3.png")
    assert "dog/3.png" in opened(photos).ids


def test_hidden_files_and_those_of_file_managers_are_no_images(opened, photos):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (photos / "cat" / name).write_bytes(b"x")
    (photos / ".git").mkdir()
    assert len(opened(photos).x) == 20


def test_an_empty_folder_is_refused(opened, tmp_path):
    (tmp_path / "none").mkdir()
    assert refused(opened, tmp_path / "none") == (
        f"The folder {tmp_path}/none is empty; put a folder of images for each class into it."
    )


def test_images_without_class_folders_are_refused(opened, tmp_path):
    paint(tmp_path / "flat" / "a.png", (4, 4))
    assert refused(opened, tmp_path / "flat") == (
        f"The folder {tmp_path}/flat must hold one folder of images for each class. It has files "
        "but no class folders; move each class's images into a folder named after the class."
    )


def test_empty_class_folders_are_refused(opened, tmp_path):
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    assert refused(opened, tmp_path / "hollow") == (
        f"The class folders of {tmp_path}/hollow hold no files; put images into them."
    )


def test_one_class_is_refused(opened, photos):
    (photos / "dog").rename(photos / ".dog")
    assert refused(opened, photos) == (
        f"Classification needs at least two classes. In {photos} there is only 'cat'; add examples "
        "of another class or choose another target."
    )


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_class_with_too_few_images_is_named(opened, photos, count):
    (photos / "fox").mkdir()
    for at in range(count):
        paint(photos / f"fox/{at}.png", (7, 9), seed=at + 50)
    assert refused(opened, photos) == (
        "Each class needs at least 3 different examples, one for each part of the division. "
        f"Class 'fox' has {count}; add examples or remove the class."
    )


def test_a_target_is_refused(opened, photos):
    with pytest.raises(BadArgumentError) as caught:
        opened(photos, target="label")
    assert str(caught.value) == (
        "A folder is images with the class folders as classes. Received task=None, target='label' "
        f"for {photos}; leave both out."
    )


def test_classes_that_differ_by_case_are_told(opened, photos):
    for at in range(3):
        paint(photos / f"Cat/{at}.png", (7, 9), seed=at + 90)
    data = opened(photos)
    assert data.classes == ("Cat", "cat", "dog")
    assert data.notes[0]["en"] == (
        "These class names differ by case alone: 'Cat', 'cat'; each is a class."
    )


def test_class_names_are_stored_so_that_they_can_be_printed(opened, photos):
    (photos / "cat").rename(photos / "<b>\u202ecat\n")
    assert opened(photos).classes == ("<b>\\u202ecat\\n", "dog")


def test_the_commonest_size_wins_and_the_mix_is_told(opened, photos):
    paint(photos / "cat/wide.png", (30, 9), seed=1)
    data = opened(photos)
    assert data.inputs == (3, 9, 7)
    assert data.notes[0]["en"] == (
        "Different image sizes: 2; all were resized to 9x7 (height x width)."
    )


def test_the_median_size_is_taken_where_none_is_common(opened, tmp_path):
    for at in range(10):
        paint(tmp_path / "mix" / "ab"[at % 2] / f"{at}.png", (10 + at, 20 + 2 * at), seed=at)
    assert opened(tmp_path / "mix").inputs == (3, 29, 14)


def test_large_images_are_made_smaller_in_proportion(opened, tmp_path):
    for at in range(6):
        paint(tmp_path / "big" / "ab"[at % 2] / f"{at}.jpg", (448, 300), seed=at)
    assert opened(tmp_path / "big").inputs == (3, 150, 224)


def test_every_mode_is_read(opened, photos):
    deep = np.linspace(0, 65535, 63).reshape(9, 7).astype(np.uint16)
    Image.fromarray(deep).save(photos / "cat/deep.png")
    paint(photos / "cat/bits.png", (7, 9), mode="1")
    paint(photos / "cat/gray.png", (7, 9), mode="L")
    paint(photos / "cat/palette.png", (7, 9), mode="P")
    paint(photos / "cat/print.jpg", (7, 9), mode="CMYK")
    glass = np.zeros((9, 7, 4), np.uint8)
    Image.fromarray(glass).save(photos / "cat/glass.png")
    frames = [Image.fromarray(np.full((9, 7), v, np.uint8)) for v in (10, 200)]
    frames[0].save(photos / "cat/moving.gif", save_all=True, append_images=frames[1:])
    data = opened(photos)
    found = {
        name: data.x[data.ids.index(f"cat/{name}")]
        for name in ("deep.png", "glass.png", "moving.gif")
    }
    np.testing.assert_array_equal(found["deep.png"][0], deep // 257)
    assert (found["glass.png"] == 255).all()  # wholly transparent is white
    assert (found["moving.gif"] == 10).all()
    assert [note["en"] for note in data.notes[:2]] == [
        "Gray images among coloured ones: 3; all were read as RGB.",
        "Files of several frames: 1; the first frame was taken.",
    ]


def test_pixels_of_no_fixed_range_are_refused(opened, photos):
    Image.fromarray(np.ones((9, 7), np.float32)).save(photos / "cat/float.tif")
    assert refused(opened, photos) == unreadable(
        photos,
        21,
        "'cat/float.tif' (pixels of 32 bits have no fixed range; save it with 8 or 16 bits)",
    )


def test_gray_images_have_one_channel(opened, tmp_path):
    for at in range(6):
        paint(tmp_path / "gray" / "ab"[at % 2] / f"{at}.png", (7, 9), mode="L", seed=at)
    data = opened(tmp_path / "gray")
    assert (data.inputs, data.preprocessing["mode"]) == ((1, 9, 7), "L")


def test_a_photo_stored_on_its_side_is_turned(opened, photos):
    pixels = np.random.default_rng(7).integers(0, 256, (7, 9, 3), np.uint8)
    turned = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    turned.save(photos / "cat/turned.png", exif=exif)
    data = opened(photos)
    assert data.notes == ()  # of one size, once turned
    np.testing.assert_array_equal(
        data.x[data.ids.index("cat/turned.png")], np.rot90(pixels, -1).transpose(2, 0, 1)
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 5000)])
def test_images_of_extreme_shape_are_read(opened, tmp_path, size):
    for at in range(6):
        paint(tmp_path / "odd" / "ab"[at % 2] / f"{at}.png", size, seed=at)
    assert opened(tmp_path / "odd").inputs == (3, 224 if size[1] > 1 else 1, 1)


def test_predicting_reads_files_as_preparing_did(opened, photos):
    paint(photos / "cat/wide.png", (30, 9), seed=1)
    paint(photos / "cat/glass.png", (7, 9), mode="RGBA", seed=2)
    data = opened(photos)
    again = encode_images([photos / name for name in data.ids], data.preprocessing)
    np.testing.assert_array_equal(again, data.x)
    with Image.open(photos / "dog/0.png") as image:
        one = encode_images([image], data.preprocessing)
    np.testing.assert_array_equal(one[0], data.x[data.ids.index("dog/0.png")])


def test_predicting_names_the_file_that_cannot_be_read(opened, photos, tmp_path):
    data = opened(photos)
    (tmp_path / "bad.png").write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        encode_images([tmp_path / "bad.png"], data.preprocessing)
    assert str(caught.value) == (
        f"'{tmp_path}/bad.png' cannot be read as an image (not an image of {FORMATS}); repair or "
        "replace it."
    )


def test_too_little_room_is_told_before_decoding(opened, photos, store, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 50))
    with pytest.raises(StoreError) as caught:
        opened(photos)
    assert str(caught.value) == (
        f"The decoded images need 3,780 bytes in {store}, where 50 are free; free space there, or "
        "name another folder with --store."
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
def test_no_damaged_image_raises_anything_but_a_reason(kind):
    from assay.data.image import UnreadableError, decode, header, quiet

    numbers = np.random.default_rng(0)
    kept = io.BytesIO()
    Image.fromarray(numbers.integers(0, 256, (16, 16, 3), np.uint8)).save(kept, kind)
    good, refusals = kept.getvalue(), 0
    for _ in range(150):
        data = bytearray(good)
        for at in numbers.integers(0, min(len(data), 200), 4):
            data[at] = numbers.integers(0, 256)
        try:
            with quiet():
                header(io.BytesIO(data))
                decode(
                    io.BytesIO(data[: numbers.integers(20, len(data) + 1)]), mode="RGB", size=(8, 8)
                )
        except UnreadableError:
            refusals += 1
    assert refusals > 10  # the damage was felt


def test_names_that_no_encoding_knows_are_read(opened, photos):
    path = os.path.join(os.fsencode(photos), b"cat/\xff.png")
    Path(os.fsdecode(path)).write_bytes((photos / "cat/0.png").read_bytes())
    assert "cat/\\udcff.png" in opened(photos).ids
