"""Labelled images from a folder of one folder a class, an ``.npz`` file, or a Parquet file with the bytes of images."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.errors import InputError
from landscape.files import read
from landscape.foreign import Json

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
NPZ, PARQUET = ".npz", ".parquet"
PIXELS, IMAGES, LABELS = "pixel_values", "images", "labels"
"""Arrays of an ``.npz`` file: pixel values as the model takes them, or images of bytes; and their labels."""
COLUMNS = ("image", "label")
"""Columns of a Parquet file, as the hub's datasets of images have them."""
MOST_IMAGE = 1 << 28
"""Bytes of an image."""
MOST_PIXELS = 1 << 27
"""Pixels of an image: a small file can hold a huge one."""


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        labels: The class of each.
        files: Files of images, or their contents; empty for arrays.
        arrays: Images of bytes, ``[images, height, width, *channels]``; None for files.
        pixels: Pixel values as the model takes them, ``[images, channels, height, width]``; None for others.
    """

    labels: Sequence[int]
    files: Sequence[Path | bytes] = ()
    arrays: np.ndarray | None = None
    pixels: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def opened(self, number: int) -> Image:
        """One image, of three channels.

        Args:
            number: Which.

        Raises:
            InputError: If it cannot be read, or pillow is not installed.
        """
        try:
            from PIL import Image
        except ImportError as error:
            raise InputError("images need pillow: pip install 'landscape-toolkit[images]'") from error
        if self.arrays is not None:
            return Image.fromarray(self.arrays[number]).convert("RGB")
        file = self.files[number]
        name = file if isinstance(file, Path) else f"image {number + 1}"
        try:
            with Image.open(io.BytesIO(read(file, MOST_IMAGE) if isinstance(file, Path) else file)) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise InputError(f"{name} has {image.width} x {image.height} pixels; give a smaller one")
                return image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"{name} cannot be read as an image ({error}); copy it again or leave it out") from error


def read_images(path: Path, classes: Mapping[str, int]) -> Images:
    """The labelled images of a folder or a file.

    Args:
        path: A folder with a folder for each class; an ``.npz`` file of ``images`` or ``pixel_values`` and ``labels``;
            or a Parquet file of ``image`` and ``label``.
        classes: The numbers of classes by name, as the config of the model has them (``label2id``).

    Raises:
        InputError: If it is none of these, or cannot be read.
    """
    if path.is_dir():
        return _of_folder(path, classes)
    if path.suffix == NPZ:
        return _of_arrays(path)
    if path.suffix == PARQUET:
        return _of_parquet(path, classes)
    raise InputError(
        f"{path} is no set of images: give a folder with a folder for each class, an .npz file of {IMAGES} or {PIXELS} "
        f"and {LABELS}, or a .parquet file of {' and '.join(COLUMNS)}"
    )


def _of_folder(path: Path, classes: Mapping[str, int]) -> Images:
    """Images by class; classes that the config does not name are numbers, or all are numbered by the alphabet.

    Raises:
        InputError: If there is no image, or only some of the classes are known.
    """
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    numbers = _numbers([folder.name for folder in folders], classes, path)
    found = [
        (file, number) for folder, number in zip(folders, numbers, strict=True)
        for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES
    ]  # fmt: skip
    if not found:
        raise InputError(f"{path} has no folders with images; give one folder for each class, of png or jpg files")
    return Images([number for _, number in found], [file for file, _ in found])


def _numbers(names: Sequence[str], classes: Mapping[str, int], path: Path) -> list[int]:
    """The numbers of classes by their names.

    Raises:
        InputError: If the names are neither those of the config, nor numbers, nor new to a config without names.
    """
    if all(name in classes for name in names):
        return [classes[name] for name in names]
    if all(name.isdecimal() for name in names):
        return [int(name) for name in names]
    if all(name.startswith("LABEL_") for name in classes) and len(names) == len(classes):
        return list(range(len(names)))
    lost = next(name for name in names if name not in classes)
    raise InputError(
        f"{path} has the class {lost}, and the config of the model has {', '.join(list(classes)[:6])}"
        f"{', ...' if len(classes) > 6 else ''}; name classes as label2id of its config.json does, or by their numbers"
    )


def _of_arrays(path: Path) -> Images:
    """Images of an ``.npz`` file.

    Raises:
        InputError: If it is damaged, or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as arrays ({error}); write it with numpy.savez") from error
    values = arrays.get(PIXELS, arrays.get(IMAGES))
    labels = arrays.get(LABELS)
    if values is None or labels is None:
        raise InputError(f"{path} has {', '.join(arrays) or 'nothing'}; {LABELS} and {PIXELS} or {IMAGES} are wanted")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(values):
        raise InputError(
            f"{LABELS} of {path} are {labels.dtype} {labels.shape}; {len(values)} whole numbers are wanted"
        )
    if PIXELS in arrays:
        if values.ndim != 4 or values.dtype.kind != "f":
            raise InputError(f"{PIXELS} of {path} are {values.dtype} {values.shape}; floats of images, channels, "
                             "height and width are wanted")  # fmt: skip
        return Images(labels.tolist(), pixels=values)
    if values.ndim not in (3, 4) or values.dtype != np.uint8:
        raise InputError(f"{IMAGES} of {path} are {values.dtype} {values.shape}; bytes of images, height, width "
                         f"and maybe channels are wanted; pixel values of a model are {PIXELS}")  # fmt: skip
    return Images(labels.tolist(), arrays=values)


def _of_parquet(path: Path, classes: Mapping[str, int]) -> Images:
    """Images of a Parquet file: their bytes, or records with ``bytes``, as the hub's datasets have them.

    Raises:
        InputError: If it is damaged, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Json]] = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} is a damaged Parquet file ({error}); copy it again") from error
    files, labels = [], []
    for number, row in enumerate(rows, start=1):
        image = row.get(COLUMNS[0])
        content = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(content, bytes) or not isinstance(row.get(COLUMNS[1]), int | str):
            raise InputError(
                f"row {number} of {path} has {', '.join(row)}; image (bytes) and label (a number or a name) are wanted"
            )
        files.append(content)
        labels.append(row[COLUMNS[1]])
    kinds = sorted({label for label in labels if isinstance(label, str)})
    named = dict(zip(kinds, _numbers(kinds, classes, path), strict=True)) if kinds else {}
    return Images([named[label] if isinstance(label, str) else int(label) for label in labels], files)
