"""Which image files there are, their labels and their bytes: the one place that reads folders, lists and tar shards."""

from jpegfreq.sources.images import Images, file_list, image_folder, list_file, open_images, tar_shards
from jpegfreq.sources.walk import Found, LeftOut, find_files

__all__ = [
    "Found",
    "Images",
    "LeftOut",
    "file_list",
    "find_files",
    "image_folder",
    "list_file",
    "open_images",
    "tar_shards",
]
