"""`PathLookup`: where paths lead on a simulated disk, through directories and symbolic links.

A path is taken part by part, as Linux does it: a link on the way is replaced by the path that it holds, ``..`` after it
means the directory above the one that it leads to, and after 40 links in one path the lookup fails.

Source: POSIX.1-2017, 4.13, pathname resolution; where it leaves a choice, Linux: path_resolution(7).
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import NamedTuple

from detrun.world.disk import touched
from detrun.world.disk.image import ROOT, Target
from detrun.world.disk.model import DiskState


def failure(number: int, path: str, path2: str | None = None) -> OSError:
    """The exception for an error number; Python makes `FileNotFoundError` and the like of it."""
    return OSError(number, os.strerror(number), path, None, path2)


def last_dots(path: str) -> str:
    """The last part of ``path`` if it is ``.`` or ``..``, which names no entry of a directory; empty otherwise."""
    last = path.rstrip("/").rpartition("/")[2]
    return last if last in (".", "..") else ""


NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What a lookup fails with where a path leads nowhere: questions whether something is there are answered by no."""
_NAME_BYTES_MAX, PATH_BYTES_MAX = 255, 4095  # NAME_MAX, and PATH_MAX without its final zero
_LINKS_MAX = 40  # symbolic links that are followed in one path, as in Linux


def _check_lengths(path: str, parts: list[str]) -> None:
    if len(os.fsencode(path)) > PATH_BYTES_MAX or any(len(os.fsencode(part)) > _NAME_BYTES_MAX for part in parts):
        raise failure(errno.ENAMETOOLONG, path)


class Place(NamedTuple):
    """Where a path leads: the directory that has, or would have, the entry, its name, and what is there."""

    directory: int
    name: str  # empty for the root
    target: Target | None
    needs_directory: bool = False
    """Whether it ends in a slash, ``.`` or ``..``, itself or by the last link that was followed."""


class PathLookup:
    """Names on a disk.

    Args:
        state: of the disk, whose cached image is asked.
    """

    def __init__(self, state: DiskState) -> None:
        self.state = state

    def place(self, path: str, *, follow: bool = True) -> Place:
        """Follow a path to its last part, which need not exist.

        Args:
            path: absolute, or relative to the root.
            follow: whether a symbolic link that is the last part is followed, too; it always is before a slash.

        Raises:
            OSError: ENOENT or ENOTDIR for a part before the last, ENOENT for an empty path, ENAMETOOLONG; ELOOP for
                more than 40 symbolic links.
        """
        found = self._trail(path, follow)[-1]
        if found.needs_directory and found.target is not None and not found.target.is_directory:
            raise failure(errno.ENOTDIR, path)
        return found

    def _trail(self, path: str, follow: bool) -> list[Place]:
        """The places from the root to where a path leads, without links on the way."""
        if not path:
            raise failure(errno.ENOENT, path)
        touched.ask(self.state.name)
        parts = [part for part in path.split("/") if part and part != "."]
        if len(path) > _NAME_BYTES_MAX // 4:
            _check_lengths(path, parts)
        parts.reverse()
        last = last_dots(path)
        needs_directory = bool(last) or path.endswith("/")
        trail = [Place(ROOT, "", Target(ROOT, True))]
        followed = 0
        while parts:
            part = parts.pop()
            current = trail[-1].target
            if current is None:
                raise failure(errno.ENOENT, path)
            if not current.is_directory:
                raise failure(errno.ENOTDIR, path)
            if part == "..":
                if len(trail) > 1:
                    trail.pop()
                continue
            touched.look_up(self.state.name, current.inode, part)
            target = self.state.cached.directory(current.inode).get(part)
            if target is not None and target.link is not None and (parts or follow or needs_directory):
                followed += 1
                if followed > _LINKS_MAX:
                    raise failure(errno.ELOOP, path)
                link = target.link
                onward = [one for one in link.split("/") if one and one != "."]
                _check_lengths(path, onward)
                if not parts:
                    last = last_dots(link) or last
                    needs_directory = needs_directory or bool(last) or link.endswith("/")
                if link.startswith("/"):
                    del trail[1:]
                parts.extend(reversed(onward))
                continue
            trail.append(Place(current.inode, part, target))
            if target is None and parts:
                raise failure(errno.ENOENT, path)
        found = trail[-1]
        if found.target is None and last:
            raise failure(errno.ENOENT, path)
        if needs_directory:
            trail[-1] = found._replace(needs_directory=True)
        return trail

    def entry(self, path: str) -> Place:
        """The entry that a path names, which a call makes, moves or removes: a link itself, also before a slash."""
        return self.place(path.rstrip("/") or path, follow=False)

    def physical(self, path: str, *, follow: bool = True) -> str:
        """The absolute path, without links, to where a path leads.

        Raises:
            OSError: as `place`.
        """
        return "/" + "/".join(one.name for one in self._trail(path, follow)[1:])

    def lead(self, path: str, *, follow: bool = True) -> str:
        """Where symbolic links lead a path, also where nothing is there any more: what is missing stays as it is."""
        touched.ask(self.state.name)
        rest = [part for part in path.split("/") if part and part != "."][::-1]
        names: list[str] = []
        directories = [ROOT]
        followed = 0
        while rest:
            part = rest.pop()
            if part == "..":
                del names[-1:]
                del directories[len(names) + 1 :]
                continue
            touched.look_up(self.state.name, directories[-1], part)
            target = self.state.cached.directory(directories[-1]).get(part)
            if target is not None and target.link is not None and (rest or follow) and followed < _LINKS_MAX:
                followed += 1
                if target.link.startswith("/"):
                    names, directories = [], [ROOT]
                rest.extend(one for one in reversed(target.link.split("/")) if one and one != ".")
                continue
            names.append(part)
            if target is None or not target.is_directory:
                break
            directories.append(target.inode)
        return "/" + "/".join([*names, *reversed(rest)])

    def existing(self, path: str, *, follow: bool = True) -> Target:
        """What is at a path.

        Raises:
            OSError: ENOENT, ENOTDIR, ELOOP.
        """
        target = self.place(path, follow=follow).target
        if target is None:
            raise failure(errno.ENOENT, path)
        return target

    def directory_at(self, path: str) -> int:
        """The inode of the directory at a path.

        Raises:
            OSError: ENOENT, ENOTDIR.
        """
        target = self.existing(path)
        if not target.is_directory:
            raise failure(errno.ENOTDIR, path)
        return target.inode

    def path_of_directory(self, inode: int, path: str) -> str:
        """Where a directory is that was at ``path``; ``path`` where it is nowhere."""
        with suppress(OSError):
            if self.directory_at(path) == inode:
                return path
        touched.follow_moves(self.state.name)
        trail = [("", ROOT)]
        while trail:
            place, directory = trail.pop()
            if directory == inode:
                return place or "/"
            entries = sorted(self.state.cached.directory(directory).items())
            trail.extend((f"{place}/{name}", one.inode) for name, one in entries if one.is_directory)
        return path
