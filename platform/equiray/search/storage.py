"""`Storage`: what trials leave, in a folder or in an object store that every node reaches."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from equiray.errors import BadInput, Incomplete

_MARK = ".equiray-sweep"


@dataclass(frozen=True)
class Storage:
    """Folders by name under `place`, a path or a URI (``s3://bucket/folder``, ``gs://``)."""

    place: str

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """A folder to work in, with what was kept under that name; what it holds in the end is kept.

        On a file system it is the kept folder itself, so what a killed process wrote is there for the next. In an
        object store it is a copy, which is kept when the block ends well.

        Raises
        ------
        Incomplete
            The object store does not answer.
        """
        local = self._local
        if local is not None:
            path = local / name
            path.mkdir(parents=True, exist_ok=True)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="equiray-trial-") as scratch:
            path, system, kept = Path(scratch), *self._in_store(name)
            with _answering(self.place):
                if system.get_file_info(kept).type == fs.FileType.Directory:
                    fs.copy_files(
                        kept, str(path), source_filesystem=system, destination_filesystem=fs.LocalFileSystem()
                    )
            yield path
            with _answering(self.place):
                fs.copy_files(str(path), kept, source_filesystem=fs.LocalFileSystem(), destination_filesystem=system)

    def open(self) -> None:
        """Leave a mark that workers look for.

        Raises
        ------
        BadInput
            It is no place that can be written.
        """
        try:
            system, path = self._system
            system.create_dir(path, recursive=True)
            name = f"{path}/{_MARK}"
            with system.open_output_stream(name) as stream:
                stream.write(uuid.uuid4().bytes)
        except (OSError, pa.ArrowException) as error:
            raise self._unreachable(error) from error

    def check(self) -> None:
        """Called by a worker; raises BadInput where the mark of `open` cannot be seen from its node."""
        try:
            system, path = self._system
            seen = system.get_file_info(f"{path}/{_MARK}").type == fs.FileType.File
        except (OSError, pa.ArrowException) as error:
            raise self._unreachable(error) from error
        if not seen:
            raise BadInput(
                "a node of the cluster does not see what the others write there",
                place=f"storage: {self.place}",
                fix="name a folder that all nodes share, or an object store",
            )

    def remove(self, name: str) -> None:
        """Forget what was kept under a name."""
        local = self._local
        if local is not None:
            shutil.rmtree(local / name, ignore_errors=True)
            return
        system, path = self._in_store(name)
        with _answering(self.place):
            if system.get_file_info(path).type == fs.FileType.Directory:
                system.delete_dir(path)

    @property
    def _local(self) -> Path | None:
        if "://" not in self.place:
            return Path(self.place)
        return Path(self.place.removeprefix("file://")) if self.place.startswith("file://") else None

    @property
    def _system(self) -> tuple[fs.FileSystem, str]:
        local = self._local
        if local is not None:
            return fs.LocalFileSystem(), str(local.absolute())
        system, path = fs.FileSystem.from_uri(self.place)
        return system, path.rstrip("/")

    def _in_store(self, name: str) -> tuple[fs.FileSystem, str]:
        system, path = self._system
        return system, f"{path}/{name}"

    def _unreachable(self, error: Exception) -> BadInput:
        return BadInput(
            f"cannot write there: {str(error).splitlines()[0]}",
            place=f"storage: {self.place}",
            fix="name a writable folder that all nodes share, or an object store whose keys they have",
        )


@contextmanager
def _answering(place: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise Incomplete(
            f"the storage does not answer: {str(error).splitlines()[0]}\n  where: {place}\n"
            "  fix:   when it answers again, the same command goes on"
        ) from error
