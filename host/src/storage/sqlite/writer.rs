use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sqlx::{Connection, Executor, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{connect, file::Held, ledger::Ledger, statements};
use crate::{
    clock::Timestamp,
    limits,
    storage::{Batch, Error, failure},
};

/// The way to the one task that writes.
#[derive(Debug)]
pub(super) struct Writer(mpsc::Sender<Job>);

#[derive(Debug)]
pub(super) enum Work {
    Apply(Batch, Timestamp),
    Sweep(Timestamp, usize),
    Ping,
    /// The last one: later jobs are refused.
    Close,
}

#[derive(Debug)]
struct Job {
    work: Work,
    taken: Taken,
    answer: oneshot::Sender<Result<u64, Error>>,
}

/// Whoever sets it first has the job: the writer, to do it, or its sender, to give it up. So a
/// job that was too late is known not to have been done.
#[derive(Clone, Debug, Default)]
struct Taken(Arc<AtomicBool>);

impl Taken {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl Writer {
    pub(super) async fn open(held: Held) -> Result<Self, Error> {
        let connection = connect::writer(&held.path).await?;
        let (sender, jobs) = mpsc::channel(limits::GROUP_COMMIT);
        tokio::spawn(Loop { held, connection: Some(connection), closing: Vec::new() }.run(jobs));
        Ok(Self(sender))
    }

    pub(super) async fn ask(&self, work: Work) -> Result<u64, Error> {
        let taken = Taken::default();
        let (answer, answered) = oneshot::channel();
        let job = Job { work, taken: taken.clone(), answer };
        let asked = async {
            self.0.send(job).await.map_err(|_| "closed")?;
            answered.await.map_err(|_| "closed")
        };
        match timeout(limits::STORAGE_WAIT, asked).await.unwrap_or(Err("no answer in time")) {
            Ok(result) => result,
            Err(cause) if taken.take() => Err(Error::Away(cause.to_owned())),
            Err(cause) => Err(Error::Unknown(cause.to_owned())),
        }
    }
}

struct Loop {
    held: Held,
    /// None after a failure: a file that failed to sync is opened anew before it is trusted again.
    connection: Option<SqliteConnection>,
    /// Who wants to know that the file has been let go.
    closing: Vec<oneshot::Sender<Result<u64, Error>>>,
}

/// Where a transaction failed decides what is known of it.
enum Failure {
    /// Nothing was written.
    Before(Error),
    /// It may have been written.
    Commit(String),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Before(failure::away(&error))
    }
}

impl Loop {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        while self.closing.is_empty() && jobs.recv_many(&mut waiting, limits::GROUP_COMMIT).await > 0 {
            let group: Vec<Job> = waiting.drain(..).filter(|job| job.taken.take()).collect();
            self.commit(group).await;
        }
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
        drop(self.held);
        for answer in self.closing {
            let _ = answer.send(Ok(0));
        }
    }

    /// Everything in the group in one transaction; answers when it is durable.
    async fn commit(&mut self, group: Vec<Job>) {
        let (mut works, mut answers) = (Vec::new(), Vec::new());
        for job in group {
            if matches!(job.work, Work::Close) {
                self.closing.push(job.answer);
            } else {
                works.push(job.work);
                answers.push(job.answer);
            }
        }
        let mut verdicts = Vec::with_capacity(works.len());
        let failed = if works.is_empty() { None } else { self.transact(works, &mut verdicts).await.err() };
        if failed.is_some()
            && let Some(connection) = self.connection.take()
        {
            let _ = connection.close().await;
        }
        verdicts.resize_with(answers.len(), || Ok(0));
        for (answer, verdict) in answers.into_iter().zip(verdicts) {
            let told = match (&failed, verdict) {
                (_, Err(conflict)) => Err(conflict),
                (None, done) => done,
                (Some(Failure::Before(error)), Ok(_)) => Err(again(error)),
                (Some(Failure::Commit(cause)), Ok(_)) => Err(Error::Unknown(cause.clone())),
            };
            // Whoever asked may have gone.
            let _ = answer.send(told);
        }
    }

    async fn transact(&mut self, works: Vec<Work>, verdicts: &mut Vec<Result<u64, Error>>) -> Result<(), Failure> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            gone => {
                tracing::warn!("the store failed and is opened anew");
                gone.insert(connect::writer(&self.held.path).await.map_err(Failure::Before)?)
            }
        };
        connection.execute("BEGIN IMMEDIATE").await?;
        let batches = works.iter().filter_map(|work| if let Work::Apply(batch, _) = work { Some(batch) } else { None });
        let found = statements::versions(connection, &Ledger::wanted(batches)).await?;
        let mut ledger = Ledger::new(found);
        let mut sweeps = Vec::new();
        for work in works {
            verdicts.push(match work {
                Work::Apply(batch, now) => ledger.decide(batch, now).map(|()| 0),
                Work::Sweep(now, most) => {
                    sweeps.push((verdicts.len(), now, most));
                    Ok(0)
                }
                Work::Ping | Work::Close => Ok(0),
            });
        }
        let puts = ledger.puts();
        if statements::put(connection, &puts).await? != puts.len() as u64 {
            return Err(Failure::Before(Error::Away("not every entry was written".to_owned())));
        }
        statements::delete(connection, &ledger.deletes()).await?;
        for (at, now, most) in sweeps {
            verdicts[at] = Ok(statements::sweep(connection, now, most).await?);
        }
        connection.execute("COMMIT").await.map_err(|error| Failure::Commit(failure::words(&error)))?;
        Ok(())
    }
}

/// The same for each of those who were in one transaction.
fn again(error: &Error) -> Error {
    match error {
        Error::Unusable(cause) => Error::Unusable(cause.clone()),
        other => Error::Away(match other {
            Error::Away(cause) => cause.clone(),
            _ => other.to_string(),
        }),
    }
}
