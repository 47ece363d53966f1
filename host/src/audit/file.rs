use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    line::Parsed,
    sink::{Found, Opened, Out},
};
use crate::limits;

/// A regular file. It holds whole lines, or is cut back to them before the next is written.
pub(super) struct FileOut {
    path: PathBuf,
    file: File,
    /// Up to here it holds what was answered for.
    end: u64,
    /// Something may stand beyond `end`.
    unfinished: bool,
    notes: Vec<String>,
    /// How many bytes the disk still takes.
    #[cfg(test)]
    pub(super) room: Option<std::sync::Arc<std::sync::atomic::AtomicUsize>>,
}

impl FileOut {
    pub(super) fn open(path: PathBuf) -> io::Result<Opened> {
        let (out, last) = Self::at(path)?;
        let note = (!out.notes.is_empty()).then(|| out.notes.join("; "));
        Ok(Opened { out: Box::new(Self { notes: Vec::new(), ..out }), last, note })
    }

    pub(super) fn at(path: PathBuf) -> io::Result<(Self, Option<Parsed>)> {
        let file = open(&path)?;
        let mut out = Self {
            path,
            file,
            end: 0,
            unfinished: false,
            notes: Vec::new(),
            #[cfg(test)]
            room: None,
        };
        let last = out.settle()?;
        Ok((out, last))
    }

    /// Cuts what is not a whole line from the end of the file. What is cut was never answered for.
    fn settle(&mut self) -> io::Result<Option<Parsed>> {
        let len = self.file.metadata()?.len();
        let from = len.saturating_sub(2 * limits::AUDIT_LINE_BYTES as u64);
        let mut tail = vec![0; usize::try_from(len - from).unwrap_or(0)];
        self.file.read_exact_at(&mut tail, from)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole == 0 && from > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file does not end in a line"));
        }
        self.end = from + whole as u64;
        if self.end < len {
            self.cut_back()?;
            self.notes.push(format!("an unfinished line of {} bytes was cut off", len - self.end));
        }
        let line = tail[..whole].strip_suffix(b"\n").unwrap_or_default();
        let line = line.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let last = std::str::from_utf8(line).ok().and_then(Parsed::parse);
        if last.is_none() && !line.is_empty() {
            self.notes.push("the last line is not one of the trail".to_owned());
        }
        Ok(last)
    }

    fn cut_back(&self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.sync_data()
    }

    fn is_at_its_path(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match self.path.metadata() {
            Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.unfinished = true;
        self.write_bytes(lines)?;
        self.file.sync_data()?;
        // A file without a name is one that nobody will read.
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.unfinished = false;
        self.end += lines.len() as u64;
        Ok(())
    }

    #[cfg(not(test))]
    fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    #[cfg(test)]
    fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        let room = self.room.as_ref().map_or(usize::MAX, |room| room.load(SeqCst));
        self.file.write_all(&bytes[..bytes.len().min(room)])?;
        if let Some(left) = &self.room {
            left.store(room.saturating_sub(bytes.len()), SeqCst);
        }
        if bytes.len() > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Out for FileOut {
    fn ready(&mut self) -> io::Result<Option<Found>> {
        if !self.is_at_its_path()? {
            tracing::warn!("the audit file was moved, removed or replaced; it is opened anew");
            self.reopen()?;
            self.notes.push("the file was moved, removed or replaced".to_owned());
        }
        if self.unfinished {
            self.cut_back()?;
            self.unfinished = false;
        }
        let (len, end) = (self.file.metadata()?.len(), self.end);
        if len != end {
            tracing::warn!(len, end, "somebody else changed the audit file");
            self.notes.push(format!("the file is {len} bytes long, not {end}"));
            self.settle()?;
        }
        Ok((!self.notes.is_empty()).then(|| Found::Changed(self.notes.join("; "))))
    }

    fn append(&mut self, lines: &[Vec<u8>]) -> (usize, Option<io::Error>) {
        match self.write(&lines.concat()) {
            Ok(()) => {
                self.notes.clear();
                (lines.len(), None)
            }
            Err(error) => {
                // Tried at once, so that readers do not see half a line; tried again by `ready`.
                self.unfinished = self.cut_back().is_err();
                (0, Some(error))
            }
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if self.is_at_its_path()? {
            return Ok(());
        }
        if self.unfinished {
            self.cut_back()?;
            self.unfinished = false;
        }
        self.file = open(&self.path)?;
        self.notes.push("opened anew".to_owned());
        self.settle().map(drop)
    }
}

/// Locked: two writers on one file would make two chains of one.
fn open(path: &Path) -> io::Result<File> {
    let made = !path.exists();
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "another process writes to the file"));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if made {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    if file.metadata()?.mode() & 0o077 != 0 {
        tracing::warn!("the audit file can be read by others than its owner");
    }
    Ok(file)
}
