use std::{io, path::PathBuf};

use super::{file::FileOut, line::Parsed, stream::StreamOut};

/// Where the trail goes.
#[derive(Clone, Debug)]
pub enum Sink {
    /// Flushed to the disk before each answer. Made with mode 0600.
    File(PathBuf),
    /// For whoever collects it there: what the collector loses is lost.
    Stdout,
}

/// A sink that was opened. Called from the writer's thread, which may block.
pub(super) trait Out: Send {
    /// Before each append: looks whether all is as it was left. What is not is to be the next line,
    /// and told here until an append succeeded.
    fn ready(&mut self) -> io::Result<Option<Found>>;

    /// How many of the lines are with the sink for good, from the first; an error if not all.
    fn append(&mut self, lines: &[Vec<u8>]) -> (usize, Option<io::Error>);

    /// Opens what is at the path now.
    fn reopen(&mut self) -> io::Result<()>;
}

/// What a sink was found to be, against what was expected.
#[derive(Debug)]
pub(super) enum Found {
    /// A file that is not the one, or not as long as, it was.
    Changed(String),
    /// Unfinished lines that cannot be taken back, of these lengths.
    Torn(Vec<usize>),
}

/// An opened sink and the line it ends with.
pub(super) struct Opened {
    pub(super) out: Box<dyn Out>,
    pub(super) last: Option<Parsed>,
    pub(super) note: Option<String>,
}

impl Sink {
    pub(super) fn open(self) -> io::Result<Opened> {
        match self {
            Self::Stdout => Ok(StreamOut::stdout()?.opened()),
            // A pipe or device at the path can be neither cut nor flushed.
            Self::File(path) if path.metadata().is_ok_and(|found| !found.is_file()) => {
                Ok(StreamOut::at(&path)?.opened())
            }
            Self::File(path) => FileOut::open(path),
        }
    }
}
