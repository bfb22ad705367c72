"""A disk of its own for a test, which can be made to fail as disks do: a small ext4 in a file, mounted over a loop device."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

__all__ = ["CannotMountError", "RealDisk"]

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN: nothing is read or written any more, as where a device has gone
_TOOLS = "/usr/sbin:/sbin"


class CannotMountError(Exception):
    """This machine lets nobody mount here, or lacks what that needs."""


class RealDisk:
    """Found at `path`, a link to where it is mounted: there is the disk or a file, and never an empty folder in which somebody
    who writes just then would begin anew. The one that made it calls `remove`."""

    def __init__(self, folder: Path) -> None:
        """Raises CannotMountError."""
        self.path = folder / "disk"
        self._place = folder / "mounted"
        self._image = folder / "disk.img"
        self._device = ""
        self._place.mkdir()
        if os.geteuid() != 0 or shutil.which("mkfs.ext4", path=_TOOLS) is None:
            raise CannotMountError
        with self._image.open("wb") as file:
            file.truncate(16 << 20)
        _run("mkfs.ext4", "-q", "-O", "^has_journal", self._image)
        self.mount()

    def mount(self) -> None:
        """Mount what is on it, after a repair as an operator would make it."""
        try:
            self._device = _run("losetup", "-f", "--show", self._image).strip()
            subprocess.run([_tool("e2fsck"), "-fy", self._device], capture_output=True, check=False)
            _run("mount", "-o", "errors=remount-ro", self._device, self._place)
        except subprocess.CalledProcessError as why:
            raise CannotMountError(why.stderr) from why
        link = self.path.with_name("link")
        link.symlink_to(self._place)
        link.replace(self.path)

    def turn_read_only(self) -> None:
        """As ext4 does when it meets an error in its own structures, with files open."""
        Path(f"/sys/fs/ext4/{Path(self._device).name}/trigger_fs_error").write_text("a test")

    def die(self) -> None:
        """Each read and write fails with EIO from now on."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", 0))
        finally:
            os.close(descriptor)

    def take_away(self) -> None:
        """Unmounted under those who have files open; no folder can be made where it was."""
        nothing = self.path.with_name("nothing")
        nothing.touch()
        nothing.replace(self.path)
        _run("umount", "-l", self._place)
        _run("losetup", "-d", self._device)  # goes with the last who has it open
        self._device = ""

    def come_back(self) -> None:
        """Repaired and mounted again where it was."""
        if self._device:
            self.take_away()
        self.mount()

    def remove(self) -> None:
        if self._device:
            self.take_away()


def _tool(name: str) -> str:
    return shutil.which(name) or shutil.which(name, path=_TOOLS) or name


def _run(name: str, *more: object) -> str:
    done = subprocess.run([_tool(name), *map(str, more)], capture_output=True, text=True, check=True)
    return done.stdout
