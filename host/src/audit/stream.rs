use std::{fs::File, io, io::Write, os::fd::AsFd, path::Path};

use super::sink::{Found, Opened, Out};

/// Standard output, a pipe or a device: what has left cannot be taken back.
pub(super) struct StreamOut {
    to: Box<dyn Write + Send>,
    /// Lengths of the unfinished lines since the last whole one.
    torn: Vec<usize>,
    /// What left last had no end of line.
    mid_line: bool,
}

impl StreamOut {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to, torn: Vec::new(), mid_line: false }
    }

    /// Not through `io::stdout`, whose buffer would hide how much has left.
    pub(super) fn stdout() -> io::Result<Self> {
        Ok(Self::new(Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?))))
    }

    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Box::new(File::options().append(true).open(path)?)))
    }

    pub(super) fn opened(self) -> Opened {
        Opened { out: Box::new(self), last: None, note: None }
    }

    /// How many bytes have left, and why not all.
    fn send(&mut self, bytes: &[u8]) -> (usize, Option<io::Error>) {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.to.write(&bytes[sent..]) {
                Ok(0) => return (sent, Some(io::ErrorKind::WriteZero.into())),
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (sent, Some(error)),
            }
        }
        (sent, self.to.flush().err())
    }

    fn line(&mut self, line: &[u8]) -> Option<io::Error> {
        if self.mid_line {
            let (sent, error) = self.send(b"\n");
            self.mid_line = sent == 0;
            if self.mid_line {
                return error;
            }
        }
        let (sent, error) = self.send(line);
        self.mid_line = (1..line.len()).contains(&sent);
        // Whoever reads it sees it whole, if only its end of line is lacking: then it must count.
        if sent + 1 >= line.len() {
            self.torn.clear();
            return None;
        }
        self.torn.extend((sent > 0).then_some(sent));
        error
    }
}

impl Out for StreamOut {
    fn ready(&mut self) -> io::Result<Option<Found>> {
        Ok((!self.torn.is_empty()).then(|| Found::Torn(self.torn.clone())))
    }

    fn append(&mut self, lines: &[Vec<u8>]) -> (usize, Option<io::Error>) {
        for (at, line) in lines.iter().enumerate() {
            if let Some(error) = self.line(line) {
                return (at, Some(error));
            }
        }
        (lines.len(), None)
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}
