"""`Image`: the content of a disk, and the smallest changes to it that a power loss does not split.

An `Image` is a file system at rest: the contents of files in sectors, and the entries of directories. A system call
becomes one or more *changes* (ALICE calls them micro-operations): one for each sector written, one for a new size, one
for the entries that a create, an unlink or a rename touches. A change is applied to an image as a whole or not at all;
the *atoms* it names are what later changes of the same thing are ordered by.

A sector is stored whole: a change holds what the page cache held then, so of two writes into one sector the later one
brings the earlier one along, as write-back does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

ROOT = 0  # the inode of the root directory
SIZE = -1  # stands for a file's size where a sector's number would be

Atom: TypeAlias = tuple[int, int | str]
"""(file, sector), (file, `SIZE`) or (directory, name)."""


@dataclass(frozen=True, slots=True)
class SymbolicLink:
    """A symbolic link in a `Tree`."""

    target: str
    """The path that it holds: absolute, or relative to the directory that the link is in."""


Tree: TypeAlias = dict[str, bytes | SymbolicLink | None]
"""What a program can see: each file with its content, symbolic link as such, directory with None; sorted by path."""


class Target(NamedTuple):
    """What a directory entry leads to."""

    inode: int
    is_directory: bool
    link: str | None = None
    """The path that a symbolic link holds. It lies in the entry, so that one change makes the link."""


@dataclass(slots=True)
class Content:
    """One file. Sectors that are missing read as zeros; what lies beyond the size cannot be seen."""

    size: int = 0
    sectors: dict[int, bytes] = field(default_factory=dict)


class Image:
    """A file system at rest."""

    __slots__ = ("contents", "directories", "sector_bytes")

    def __init__(self, sector_bytes: int) -> None:
        self.sector_bytes = sector_bytes
        self.contents: dict[int, Content] = {}
        self.directories: dict[int, dict[str, Target]] = {ROOT: {}}

    def copy(self) -> Image:
        """An image that shares nothing that can change."""
        other = Image(self.sector_bytes)
        other.contents = {inode: Content(one.size, dict(one.sectors)) for inode, one in self.contents.items()}
        other.directories = {inode: dict(entries) for inode, entries in self.directories.items()}
        return other

    def content(self, inode: int) -> Content:
        """The file, made empty if it is not there: data may reach a disk before the entry that leads to it."""
        found = self.contents.get(inode)
        if found is None:
            found = self.contents[inode] = Content()
        return found

    def directory(self, inode: int) -> dict[str, Target]:
        """The entries of a directory, made empty if it is not there."""
        return self.directories.setdefault(inode, {})

    def sector(self, inode: int, sector: int) -> bytes:
        """One whole sector of a file."""
        content = self.contents.get(inode)
        found = content.sectors.get(sector) if content is not None else None
        return found if found is not None else bytes(self.sector_bytes)

    def read(self, inode: int, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop`` of a file, as far as there are any."""
        width = self.sector_bytes
        stop = min(stop, self.content(inode).size)
        if start >= stop:
            return b""
        first, last = start // width, (stop - 1) // width
        whole = b"".join(self.sector(inode, sector) for sector in range(first, last + 1))
        return whole[start - first * width : stop - first * width]

    def tree(self) -> Tree:
        """Everything that can be reached from the root, by path."""
        found: Tree = {}
        stack = [("", ROOT)]
        while stack:
            prefix, inode = stack.pop()
            for name, target in self.directory(inode).items():
                path = f"{prefix}/{name}"
                if target.is_directory:
                    found[path] = None
                    stack.append((path, target.inode))
                elif target.link is not None:
                    found[path] = SymbolicLink(target.link)
                else:
                    found[path] = self.read(target.inode, 0, self.content(target.inode).size)
        return dict(sorted(found.items()))

    def reachable(self) -> set[int]:
        """The inodes that can be reached from the root, itself included."""
        found = {ROOT}
        stack = [ROOT]
        while stack:
            for target in self.directory(stack.pop()).values():
                found.add(target.inode)
                if target.is_directory:
                    stack.append(target.inode)
        return found

    def settle(self) -> None:
        """What a file-system check does at boot: forget unreachable inodes and bytes beyond the ends of files."""
        reachable = self.reachable()
        self.contents = {inode: content for inode, content in self.contents.items() if inode in reachable}
        self.directories = {inode: entries for inode, entries in self.directories.items() if inode in reachable}
        for inode, content in self.contents.items():
            for sector, kept in cut_sectors(self, inode, content.size):
                if kept is None:
                    del content.sectors[sector]
                else:
                    content.sectors[sector] = kept


def cut_sectors(image: Image, inode: int, size: int) -> tuple[tuple[int, bytes | None], ...]:
    """The changes to the sectors of a file that is cut to ``size``: those that fall, and the one that is cut."""
    width = image.sector_bytes
    changed: list[tuple[int, bytes | None]] = []
    for sector, content in sorted(image.content(inode).sectors.items()):
        kept = size - sector * width
        if kept <= 0:
            changed.append((sector, None))
        elif kept < width and any(content[kept:]):
            changed.append((sector, content[:kept] + bytes(width - kept)))
    return tuple(changed)


@dataclass(frozen=True, slots=True)
class WriteSector:
    """A sector of a file gets this content."""

    inode: int
    sector: int
    content: bytes

    def atoms(self) -> tuple[Atom, ...]:
        """The sector."""
        return ((self.inode, self.sector),)

    def inodes(self) -> tuple[int, ...]:
        """Of whom an fsync waits for this change."""
        return (self.inode,)

    def apply(self, image: Image) -> None:
        """Write it."""
        image.content(self.inode).sectors[self.sector] = self.content


@dataclass(frozen=True, slots=True)
class Resize:
    """A file gets another size. If it shrinks, the sectors that are cut go with it: old bytes never come back.

    A hole is not cut. What is written to it later does not wait for the new size, as nothing old could show there.
    """

    inode: int
    size: int
    cut: tuple[tuple[int, bytes | None], ...] = ()

    def atoms(self) -> tuple[Atom, ...]:
        """The size, and the sectors that are cut."""
        return ((self.inode, SIZE), *((self.inode, sector) for sector, _ in self.cut))

    def inodes(self) -> tuple[int, ...]:
        """Of whom an fsync waits for this change."""
        return (self.inode,)

    def apply(self, image: Image) -> None:
        """Resize it."""
        content = image.content(self.inode)
        content.size = self.size
        for sector, kept in self.cut:
            if kept is None:
                content.sectors.pop(sector, None)
            else:
                content.sectors[sector] = kept


@dataclass(frozen=True, slots=True)
class SetEntries:
    """Entries of directories change together: one for a create or an unlink, two for a rename."""

    entries: tuple[tuple[int, str, Target | None], ...]  # (directory, name, what it leads to now)
    moves_directory: bool = False

    def atoms(self) -> tuple[Atom, ...]:
        """The entries."""
        return tuple((directory, name) for directory, name, _ in self.entries)

    def inodes(self) -> tuple[int, ...]:
        """The directories: an fsync of either makes a rename durable."""
        return tuple(dict.fromkeys(directory for directory, _, _ in self.entries))

    def apply(self, image: Image) -> None:
        """Set them."""
        for directory, name, target in self.entries:
            if target is None:
                image.directory(directory).pop(name, None)
            else:
                image.directory(directory)[name] = target


Change: TypeAlias = WriteSector | Resize | SetEntries


def image_of(tree: Tree, sector_bytes: int) -> Image:
    """The image of a tree. Parents may be left out of the tree."""
    image = Image(sector_bytes)
    inode = ROOT
    for path, content in sorted(tree.items()):
        parts = [part for part in path.split("/") if part]
        directory = ROOT
        for depth, part in enumerate(parts):
            is_directory = depth < len(parts) - 1 or content is None
            target = image.directory(directory).get(part)
            if target is None:
                inode += 1
                link = content.target if isinstance(content, SymbolicLink) and not is_directory else None
                target = image.directory(directory)[part] = Target(inode, is_directory, link)
                if is_directory:
                    image.directory(inode)
            directory = target.inode
        if isinstance(content, bytes):
            file = image.content(directory)
            file.size = len(content)
            for start in range(0, len(content), sector_bytes):
                piece = content[start : start + sector_bytes]
                file.sectors[start // sector_bytes] = piece + bytes(sector_bytes - len(piece))
    return image
