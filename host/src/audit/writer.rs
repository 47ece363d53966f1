use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    Error, Phase, Record,
    line::{self, Head},
    sink::{Found, Opened, Out},
};
use crate::{barrier::Barrier, clock::Clock, limits};

type Answer = oneshot::Sender<Result<(), Error>>;

#[derive(Debug)]
pub(super) enum Command {
    Record(Box<Record>, Answer),
    Reopen(Answer),
    Close(Answer),
}

/// The one that writes: it gives the numbers and holds the chain together.
pub(super) struct Writer {
    out: Box<dyn Out>,
    clock: Clock,
    barrier: Barrier,
    /// Of the last line that is with the sink: a line that failed never was.
    head: Head,
    published: Arc<Mutex<Head>>,
}

impl Writer {
    /// Writes the first line of a chain. It names the last line of what is there.
    pub(super) fn begin(opened: Opened, clock: Clock, barrier: Barrier) -> Result<Self, Error> {
        let head = Head::new(opened.last.as_ref(), clock.now());
        let published = Arc::new(Mutex::new(head.clone()));
        let mut writer = Self { out: opened.out, clock, barrier, head, published };
        let resource = opened.last.map(|last| format!("audit/{}/{}", last.chain, last.seq));
        let start = Record { resource, cause: opened.note, ..Record::new(Phase::Work, line::START) };
        let (answer, mut answered) = oneshot::channel();
        writer.write(vec![(Box::new(start), answer)]);
        answered.try_recv().map_err(|_| Error::Ended)??;
        Ok(writer)
    }

    pub(super) fn head(&self) -> Arc<Mutex<Head>> {
        self.published.clone()
    }

    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut group = Vec::new();
        while let Some(first) = commands.blocking_recv() {
            group.push(first);
            while group.len() < limits::AUDIT_GROUP
                && let Ok(next) = commands.try_recv()
            {
                group.push(next);
            }
            if let Some(closed) = self.serve(&mut group) {
                drop((self, commands));
                let _ = closed.send(Ok(()));
                return;
            }
        }
    }

    /// Whoever wants to know that all is closed, if anybody asked for it.
    fn serve(&mut self, group: &mut Vec<Command>) -> Option<Answer> {
        let mut waiting = Vec::new();
        for command in group.drain(..) {
            match command {
                Command::Record(record, answer) => waiting.push((record, answer)),
                Command::Reopen(answer) => {
                    self.write(std::mem::take(&mut waiting));
                    let _ = answer.send(self.out.reopen().map_err(Error::from));
                }
                Command::Close(answer) => {
                    self.write(waiting);
                    return Some(answer);
                }
            }
        }
        self.write(waiting);
        None
    }

    /// Writes all, flushes once, then answers all.
    fn write(&mut self, records: Vec<(Box<Record>, Answer)>) {
        if records.is_empty() {
            return;
        }
        let note = match self.out.ready() {
            Ok(found) => found.map(note),
            Err(error) => return refuse(records.into_iter().map(|(_, answer)| answer), &error),
        };
        let (mut lines, mut heads, mut answers) = (Vec::new(), vec![self.head.clone()], Vec::new());
        let noted = note.map(|note| (Box::new(note), None)).into_iter();
        for (record, answer) in noted.chain(records.into_iter().map(|(record, answer)| (record, Some(answer)))) {
            let head = heads.last().unwrap_or(&self.head);
            match (head.append(&record, self.clock.now(), &self.barrier), answer) {
                (Ok((line, head)), answer) => {
                    lines.push(line);
                    heads.push(head);
                    answers.push(answer);
                }
                (Err(error), Some(answer)) => drop(answer.send(Err(error))),
                (Err(error), None) => tracing::error!(%error, "a note on the audit sink could not be recorded"),
            }
        }
        let (whole, error) = self.out.append(&lines);
        self.head = heads.swap_remove(whole);
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.head);
        let lost = answers.split_off(whole);
        for answer in answers.into_iter().flatten() {
            let _ = answer.send(Ok(()));
        }
        if let Some(error) = error {
            refuse(lost.into_iter().flatten(), &error);
        }
    }
}

fn note(found: Found) -> Record {
    match found {
        Found::Changed(cause) => Record { cause: Some(cause), ..Record::new(Phase::Work, line::REOPENED) },
        Found::Torn(lengths) => {
            let lengths: Vec<_> = lengths.iter().map(usize::to_string).collect();
            let values = [("bytes".to_owned(), lengths.join(","))].into();
            Record { values, ..Record::new(Phase::Work, line::TORN) }
        }
    }
}

fn refuse(answers: impl Iterator<Item = Answer>, error: &io::Error) {
    tracing::error!(%error, "the audit sink takes no records");
    for answer in answers {
        let _ = answer.send(Err(Error::Sink(error.to_string())));
    }
}
