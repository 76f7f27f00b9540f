"""Files by URL: whatever fsspec reaches, and local paths."""

import os
import shutil
import uuid
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem


def _of(url: str):
    """The file system, the path there, and whether it is this machine's."""
    files, path = fsspec.core.url_to_fs(url)
    return files, path, isinstance(files, LocalFileSystem)


def join(folder: str, *names: str) -> str:
    return "/".join([folder.rstrip("/"), *names])


def absolute(url: str) -> str:
    """The same for a worker, whose working folder is another."""
    _, path, local = _of(url)
    return path if local else url


def expand(pattern: str) -> list[str]:
    """What a pattern such as `s3://bucket/drives/*` matches, sorted; one without a star stays as it is."""
    if not any(letter in pattern for letter in "*?["):
        return [absolute(pattern)]
    files, path, local = _of(pattern)
    found = sorted(files.glob(path))
    return found if local else [files.unstrip_protocol(path) for path in found]


def forget(url: str) -> None:
    """What was listed before counts no more: others have written since."""
    files, _, _ = _of(url)
    files.invalidate_cache()


def exists(url: str) -> bool:
    files, path, _ = _of(url)
    return files.exists(path)


def size(url: str) -> int:
    """The bytes of a file, or of all files in a folder."""
    files, path, _ = _of(url)
    info = files.info(path)
    return int(files.du(path) if info["type"] == "directory" else info["size"])


def names(folder: str, ending: str) -> set[str]:
    """Files of this ending in a folder, without it."""
    files, path, _ = _of(folder)
    if not files.exists(path):
        return set()
    found = (name.rstrip("/").rsplit("/", 1)[-1] for name in files.ls(path, detail=False))
    return {name.removesuffix(ending) for name in found if name.endswith(ending)}


def read(url: str) -> bytes:
    files, path, _ = _of(url)
    return files.cat_file(path)


def write(url: str, content: bytes) -> None:
    """A file that is there whole or not at all."""
    files, path, local = _of(url)
    if not local:
        # An object is seen when the last byte of it has come.
        files.pipe_file(path, content)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    part = f"{path}.{uuid.uuid4().hex}.part"
    with open(part, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def remove(url: str) -> None:
    files, path, _ = _of(url)
    files.rm_file(path)


def fetch(url: str, folder: Path) -> Path:
    """A bag as a local path: itself where it is local, otherwise downloaded into `folder`."""
    files, path, local = _of(url)
    if local:
        return Path(path)
    copy = folder / path.rstrip("/").rsplit("/", 1)[-1]
    if files.isfile(path):
        files.get_file(path, str(copy))
    else:
        files.get(path.rstrip("/") + "/", f"{copy}/", recursive=True)
    return copy


def keep(folder: Path, url: str) -> None:
    """A local folder's files, copied to a folder by URL."""
    files, path, local = _of(url)
    if local:
        shutil.copytree(folder, path, dirs_exist_ok=True)
        return
    for file in sorted(folder.iterdir()):
        files.put_file(str(file), join(path, file.name))
