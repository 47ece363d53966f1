//! The store in Redis: a family is one hash, `<namespace>:{<selector>}`, and every change of it one
//! script. Scripts compare `rev` first, so that a write after an expiry makes no key without an
//! end. An index by user stands beside them, under a MAC of the user's id.

use async_trait::async_trait;

use super::{Error, Listed, Record, Refill, Store, Touch, Verdict, Was};
use crate::{
    barrier::{self, Barrier, Purpose, Writes},
    clock::Timestamp,
    ids::{SessionId, UserId},
    limits,
    shared::{self, Answer, Link, Script},
};

static INSERT: Script = Script::new(include_str!("scripts/insert.lua"));
static REWRITE: Script = Script::new(include_str!("scripts/rewrite.lua"));
static TOUCH: Script = Script::new(include_str!("scripts/touch.lua"));
static REFILL: Script = Script::new(include_str!("scripts/refill.lua"));

#[derive(Debug)]
pub struct Redis {
    link: Link,
    barrier: Barrier,
}

impl Redis {
    pub fn new(link: Link, barrier: Barrier) -> Self {
        Self { link, barrier }
    }

    fn key(&self, id: &SessionId) -> String {
        format!("{}:{{{id}}}", self.link.namespace())
    }

    fn index(&self, user: &UserId) -> Result<String, Error> {
        let mac = self.barrier.mac(Purpose::Name)?.sign(&[b"sessions of", user.as_str().as_bytes()]);
        Ok(format!("{}:user:{}", self.link.namespace(), hex::encode(&mac[..16])))
    }

    /// Runs a script; a key that holds something else is a record that has moved.
    async fn run(&self, script: &Script, id: &SessionId, arguments: &[&[u8]]) -> Result<Verdict, Error> {
        match self.link.script(script, &self.key(id), arguments).await {
            Ok(answer) => verdict(&answer),
            Err(shared::Error::Foreign) => Ok(Verdict::Moved),
            Err(other) => Err(other.into()),
        }
    }

    /// Storage first: what Redis is told after it can be lost, and what it is told before could
    /// be true in Redis alone.
    async fn first(&self, with: Writes) -> Result<bool, Error> {
        match self.barrier.commit(with).await {
            Ok(()) => Ok(true),
            Err(barrier::Error::Conflict) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// Convenience: an index that is not written costs a line in a list.
    async fn list(&self, listed: &Listed, end: Timestamp) -> Result<(), Error> {
        let (key, end, id) = (self.index(&listed.user)?, end.millis().to_string(), listed.id.as_str());
        // What has ended by itself goes when something comes.
        let now = listed.created_at.millis().to_string();
        self.link.command(&[b"ZREMRANGEBYSCORE", key.as_bytes(), b"-inf", now.as_bytes()]).await?;
        self.link.command(&[b"ZADD", key.as_bytes(), end.as_bytes(), id.as_bytes()]).await?;
        // The later end stands: a key that has none yet is given one, another is only prolonged.
        for when in [b"NX", b"GT"] {
            self.link.command(&[b"PEXPIREAT", key.as_bytes(), end.as_bytes(), when]).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Redis {
    fn namespace(&self) -> &str {
        self.link.namespace()
    }

    async fn get(&self, id: &SessionId) -> Result<Option<Record>, Error> {
        let key = self.key(id);
        let mut command: Vec<&[u8]> = vec![b"HMGET", key.as_bytes()];
        command.extend(FIELDS.map(str::as_bytes));
        match self.link.command(&command).await {
            Ok(answer) => Ok(record(answer)),
            Err(shared::Error::Foreign) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    async fn insert(&self, listed: &Listed, record: Record, end: Timestamp, with: Writes) -> Result<Verdict, Error> {
        if !self.first(with).await? {
            return Ok(Verdict::Conflict);
        }
        let (end_at, numbers) = (end.millis().to_string(), Numbers::of(&record));
        let mut arguments: Vec<&[u8]> = vec![end_at.as_bytes()];
        for (name, value) in FIELDS.iter().zip(numbers.fields(&record)) {
            arguments.extend([name.as_bytes(), value]);
        }
        let verdict = self.run(&INSERT, &listed.id, &arguments).await?;
        if verdict == Verdict::Done
            && let Err(error) = self.list(listed, end).await
        {
            tracing::warn!(session = %listed.id, %error, "a session is missing from its user's list");
        }
        Ok(verdict)
    }

    async fn rewrite(&self, id: &SessionId, was: &Was, record: Record, with: Writes) -> Result<Verdict, Error> {
        if !self.first(with).await? {
            return Ok(Verdict::Conflict);
        }
        let numbers = Numbers::of(&record);
        let unused: &[u8] = if was.unused { b"1" } else { b"0" };
        let mut arguments: Vec<&[u8]> = vec![was.rev.as_bytes(), unused];
        for (name, value) in FIELDS.iter().zip(numbers.fields(&record)) {
            let of_pair = matches!(*name, "a" | "r" | "used" | "seen");
            if matches!(*name, "rev" | "sealed") || of_pair && was.pair {
                arguments.extend([name.as_bytes(), value]);
            }
        }
        self.run(&REWRITE, id, &arguments).await
    }

    async fn touch(&self, id: &SessionId, touch: &Touch) -> Result<Verdict, Error> {
        let (now, until) = (touch.now.millis().to_string(), touch.until.millis().to_string());
        let (idle, size) = (touch.idle.to_string(), touch.take.map(|size| size.to_string()).unwrap_or_default());
        let arguments = [&touch.rev, &touch.a, &now, &until, &idle, &size].map(|text| text.as_bytes());
        self.run(&TOUCH, id, &arguments).await
    }

    async fn refill(&self, id: &SessionId, refill: &Refill) -> Result<Verdict, Error> {
        let numbers = [refill.from, refill.block, refill.left].map(|number| number.to_string());
        let [from, block, left] = [&numbers[0], &numbers[1], &numbers[2]].map(|text| text.as_bytes());
        self.run(&REFILL, id, &[refill.rev.as_bytes(), from, block, left]).await
    }

    async fn remove(&self, id: &SessionId) -> Result<(), Error> {
        // Frees it elsewhere: a client's answer does not wait for that.
        self.link.command(&[b"UNLINK", self.key(id).as_bytes()]).await?;
        Ok(())
    }

    async fn of_user(&self, user: &UserId) -> Result<Vec<Listed>, Error> {
        let key = self.index(user)?;
        let last = (limits::LIST_EXAMINED - 1).to_string();
        let answer = match self.link.command(&[b"ZRANGE", key.as_bytes(), b"0", last.as_bytes()]).await {
            Err(shared::Error::Foreign) => Answer::Nil,
            other => other?,
        };
        let Answer::List(members) = answer else { return Ok(Vec::new()) };
        let ids = members.iter().filter_map(|member| SessionId::parse(text(member)?).ok());
        // The record knows better.
        let created_at = Timestamp::from_millis(0);
        Ok(ids.map(|id| Listed { id, user: user.clone(), created_at }).collect())
    }

    async fn unlist(&self, listed: &Listed) -> Result<(), Error> {
        let key = self.index(&listed.user)?;
        self.link.command(&[b"ZREM", key.as_bytes(), listed.id.as_str().as_bytes()]).await?;
        Ok(())
    }
}

const FIELDS: [&str; 8] = ["rev", "a", "r", "used", "left", "block", "seen", "sealed"];

/// The numbers of a record, as Redis keeps them.
struct Numbers([String; 4]);

impl Numbers {
    fn of(record: &Record) -> Self {
        let used = u8::from(record.used).to_string();
        Self([used, record.left.to_string(), record.block.to_string(), record.seen.millis().to_string()])
    }

    /// In the order of `FIELDS`.
    fn fields<'a>(&'a self, record: &'a Record) -> [&'a [u8]; 8] {
        let [used, left, block, seen] = self.0.each_ref().map(String::as_bytes);
        let [rev, a, r] = [&record.rev, &record.a, &record.r].map(|text| text.as_bytes());
        [rev, a, r, used, left, block, seen, &record.sealed]
    }
}

/// None if anything is missing, or is not what it should be: then somebody else wrote it.
fn record(answer: Answer) -> Option<Record> {
    let Answer::List(values) = answer else { return None };
    let [rev, a, r, used, left, block, seen, sealed] = <[Answer; 8]>::try_from(values).ok()?;
    let Answer::Bytes(sealed) = sealed else { return None };
    Some(Record {
        rev: text(&rev)?.to_owned(),
        a: text(&a)?.to_owned(),
        r: text(&r)?.to_owned(),
        used: match text(&used)? {
            "0" => false,
            "1" => true,
            _ => return None,
        },
        left: text(&left)?.parse().ok()?,
        block: text(&block)?.parse().ok()?,
        seen: Timestamp::from_millis(text(&seen)?.parse().ok()?),
        sealed,
    })
}

fn text(answer: &Answer) -> Option<&str> {
    let Answer::Bytes(bytes) = answer else { return None };
    std::str::from_utf8(bytes).ok()
}

fn verdict(answer: &Answer) -> Result<Verdict, Error> {
    match (answer, text(answer)) {
        (_, Some("done")) => Ok(Verdict::Done),
        (_, Some("conflict")) => Ok(Verdict::Conflict),
        (_, Some("moved")) => Ok(Verdict::Moved),
        (Answer::Int(block), _) => Ok(u32::try_from(*block).map_or(Verdict::Moved, Verdict::Empty)),
        _ => Err(Error::Away("an answer that no script of ours gives".to_owned())),
    }
}
