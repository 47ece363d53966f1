//! Folders and files: who may read them, whether they last, and whether there is room.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access, statvfs};

use crate::{finding::Finding, limits};

/// Codes and files of plugins, and by default everything else.
pub fn folder(path: &Path) -> Vec<Finding> {
    const CHECK: &str = "data_dir";
    let shown = path.display();
    let at = existing(path);
    let found = match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Finding::fail(CHECK, format!("{shown} is no folder"), "name another"),
        Ok(found) if found.mode() & 0o022 != 0 => {
            Finding::fail(CHECK, format!("{shown} can be changed by others"), format!("chmod 700 {shown}"))
        }
        Ok(found) if found.mode() & 0o055 != 0 => {
            Finding::warn(CHECK, format!("{shown} can be read by others"), format!("chmod 700 {shown}"))
        }
        Ok(_) if access(path, Access::WRITE_OK | Access::EXEC_OK).is_err() => Finding::fail(
            CHECK,
            format!("{shown} cannot be written to by who asks"),
            "chown it to the server's user, or ask as that user",
        ),
        Ok(_) => Finding::ok(CHECK, format!("{shown} is its owner's alone")),
        Err(_) if can_hold(&at) => Finding::ok(CHECK, format!("{shown} is not there yet; the server makes it")),
        Err(_) => Finding::fail(
            CHECK,
            format!("{shown} is not there and cannot be made by who asks"),
            "make it, for the server's user alone",
        ),
    };
    vec![found, room("data_dir.room", &at)]
}

/// A file that holds a key.
pub fn secret(check: &'static str, path: &Path) -> Finding {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) => Finding::fail(check, format!("{shown}: {}", error.kind()), "mend the path, or its rights"),
        Ok(found) if found.mode() & 0o007 != 0 => {
            Finding::fail(check, format!("{shown} can be read by everybody"), format!("chmod 600 {shown}"))
        }
        Ok(found) if found.mode() & 0o070 != 0 => {
            Finding::warn(check, format!("{shown} can be read by its group"), format!("chmod 600 {shown}"))
        }
        Ok(_) if access(path, Access::READ_OK).is_err() => {
            Finding::fail(check, format!("{shown} cannot be read by who asks"), "chown it to the server's user")
        }
        Ok(_) => Finding::ok(check, format!("{shown} is its owner's alone")),
    }
}

/// A database in a file: it must be on a disk of this machine.
pub fn sqlite(path: &Path) -> Vec<Finding> {
    const FILE: &str = "storage.file";
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (at, shown) = (existing(&path), path.display());
    let file = match fs::metadata(&path) {
        Ok(found) if !found.is_file() => Finding::fail(FILE, format!("{shown} is no file"), "mend storage.url"),
        Ok(found) => readable(FILE, &path, &found, "a database"),
        Err(_) if can_hold(&at) => Finding::ok(FILE, format!("{shown} is not there yet; the server makes it")),
        Err(_) => Finding::fail(
            FILE,
            format!("{shown} is not there and cannot be made by who asks"),
            "mend storage.url, or the rights of its folder",
        ),
    };
    vec![file, lasting("storage.disk", &at), room("storage.room", &at)]
}

/// No record, no work: the trail must be writable.
pub fn audit(path: &Path) -> Vec<Finding> {
    const SINK: &str = "audit.sink";
    let (at, shown) = (existing(path), path.display());
    let may = if path.exists() { access(&at, Access::WRITE_OK).is_ok() } else { can_hold(&at) };
    let sink = match fs::metadata(path) {
        Ok(found) if found.is_dir() => Finding::fail(SINK, format!("{shown} is a folder"), "mend audit.path"),
        Ok(found) if may => readable(SINK, path, &found, "a trail"),
        Err(_) if may => Finding::ok(SINK, format!("{shown} is not there yet; the server makes it")),
        _ => Finding::fail(
            SINK,
            format!("{shown} cannot be written by who asks: the server would answer nothing"),
            "chown it to the server's user, or ask as that user",
        ),
    };
    vec![sink, room("audit.room", &at)]
}

fn readable(check: &'static str, path: &Path, found: &Metadata, what: &str) -> Finding {
    let shown = path.display();
    match found.mode() {
        mode if mode & 0o022 != 0 => {
            Finding::fail(check, format!("{shown} can be changed by others"), format!("chmod 600 {shown}"))
        }
        mode if mode & 0o044 != 0 => {
            Finding::warn(check, format!("{shown} can be read by others"), format!("chmod 600 {shown}"))
        }
        _ if access(path, Access::READ_OK | Access::WRITE_OK).is_err() => {
            Finding::fail(check, format!("{shown} cannot be written by who asks"), "chown it to the server's user")
        }
        _ => Finding::ok(check, format!("{shown}, {what} of its owner's alone")),
    }
}

/// The path, or what there is of it.
fn existing(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// May something be made in it?
fn can_hold(folder: &Path) -> bool {
    folder.is_dir() && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn room(check: &'static str, at: &Path) -> Finding {
    let Ok(found) = statvfs(at) else {
        return Finding::warn(check, "the system does not tell how much room there is", "see for yourself");
    };
    let left = found.f_bavail.saturating_mul(found.f_frsize);
    let said = format!("{} MiB left", left / (1024 * 1024));
    match left {
        0..limits::DISK_FULL => Finding::fail(check, said, "make room: nothing can be stored or recorded"),
        limits::DISK_FULL..limits::DISK_LOW => Finding::warn(check, said, "make room before it is full"),
        _ => Finding::ok(check, said),
    }
}

/// SQLite's locks and its write-ahead log need a file system of this machine.
#[cfg(target_os = "linux")]
fn lasting(check: &'static str, at: &Path) -> Finding {
    // linux/magic.h, and those of Ceph, SMB and 9P.
    const REMOTE: [i64; 9] =
        [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x00C3_6400, 0x0102_1997, 0x564C, 0x5346_414F, 0x0BD0_0BD0];
    const MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58F6];
    const FUSE: i64 = 0x6573_5546;
    const OVERLAY: i64 = 0x794C_7630;
    let Ok(found) = rustix::fs::statfs(at) else {
        return Finding::warn(check, "the system does not tell what file system it is on", "see for yourself");
    };
    match found.f_type & 0xFFFF_FFFF {
        kind if REMOTE.contains(&kind) => Finding::fail(
            check,
            "on a file system of another machine, where locks and syncs are not to be relied on",
            "put it on a disk of this machine, or use PostgreSQL",
        ),
        kind if MEMORY.contains(&kind) => {
            Finding::warn(check, "in memory: gone when the machine restarts", "put it on a disk")
        }
        FUSE => {
            Finding::warn(check, "on FUSE: what is behind it is not known", "see that it is a disk of this machine")
        }
        OVERLAY => Finding::warn(check, "in the layer of a container: gone with it", "put it on a volume"),
        _ => Finding::ok(check, "on a disk of this machine"),
    }
}

#[cfg(not(target_os = "linux"))]
fn lasting(check: &'static str, _: &Path) -> Finding {
    Finding::ok(check, "not looked at on this system: it must be on a disk of this machine")
}
