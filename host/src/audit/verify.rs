use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Audit, Error,
    line::{GENESIS, Head, LinkKind, Parsed, START, TORN},
};
use crate::{barrier, limits};

/// Where a verification stands: after this line. Carried from chunk to chunk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditLink)]
pub struct Link {
    pub chain: String,
    pub seq: u64,
    pub mac: String,
    /// Lines since the last keyed one: they could have been made by anybody who can write to the
    /// file, until a keyed one follows.
    pub unkeyed: u64,
    /// Lengths of unfinished lines that the next line must own up to.
    pub torn: Vec<usize>,
}

/// What a chunk was found to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[schema(as = AuditVerified)]
pub struct Verified {
    /// Lines that are as they were written, from the first.
    pub whole: u64,
    #[schema(required)]
    pub broken: Option<Broken>,
    /// For the next chunk. After a break: where it was last whole.
    #[schema(required)]
    pub last: Option<Link>,
    /// Chains that these lines belong to.
    pub chains: BTreeSet<String>,
}

/// Where the trail is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[schema(as = AuditBreak)]
pub struct Broken {
    /// Which of the lines given, from 0. At the end: how many there were in the last chunk.
    pub index: usize,
    /// What the line says it is.
    #[schema(required)]
    pub seq: Option<u64>,
    pub why: String,
}

/// What the end of a trail was found to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[schema(as = AuditEnding)]
pub struct Ending {
    #[schema(required)]
    pub broken: Option<Broken>,
    /// Chains with a sealed head of which no line was given: other nodes' and other files', or
    /// files that are missing.
    pub elsewhere: Vec<Elsewhere>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[schema(as = AuditElsewhere)]
pub struct Elsewhere {
    pub chain: String,
    pub seq: u64,
    #[schema(format = DateTime)]
    pub time: String,
}

impl Audit {
    /// Verifies lines (without their ends) that follow `from`, or that begin a trail. For a file
    /// that was rotated, `from` is the last link of the file before it.
    pub async fn verify(&self, lines: &[String], from: Option<Link>) -> Result<Verified, Error> {
        let mut walk = Walk { audit: self, heads: HashMap::new(), at: from, back: 0 };
        let mut verified = Verified { whole: 0, broken: None, last: None, chains: BTreeSet::new() };
        for (index, line) in lines.iter().enumerate() {
            match walk.step(line).await {
                Ok(()) => verified.whole += 1,
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Wrong { seq, why }) => {
                    let index = index.saturating_sub(walk.back);
                    verified.broken = Some(Broken { index, seq, why });
                    verified.whole = index as u64;
                    break;
                }
            }
            verified.chains.extend(walk.at.iter().map(|at| at.chain.clone()));
        }
        verified.last = walk.at;
        Ok(verified)
    }

    /// After the last chunk: is anything missing after `last`? `seen` are the chains of all chunks.
    pub async fn verify_end(&self, last: Option<&Link>, seen: &BTreeSet<String>) -> Result<Ending, Error> {
        let heads = self.heads().await?;
        let missing = |last: &Link| {
            if !last.torn.is_empty() {
                return Some("the last line is not whole".to_owned());
            }
            heads.iter().find_map(|head| match head {
                head if head.chain == last.chain && head.seq > last.seq => Some(missing_at_end(head, last.seq)),
                head if head.after.as_ref() == Some(&last.chain) => {
                    Some(format!("chain {} followed and is missing", head.chain))
                }
                _ => None,
            })
        };
        let cut = last.and_then(missing);
        let broken = cut.map(|why| Broken { index: 0, seq: last.map(|last| last.seq), why });
        let elsewhere = heads.into_iter().filter(|head| !seen.contains(&head.chain));
        let elsewhere =
            elsewhere.map(|Head { chain, seq, time, .. }| Elsewhere { chain, seq, time: time.to_string() }).collect();
        Ok(Ending { broken, elsewhere })
    }

    async fn sealed_head(&self, chain: &str) -> Result<Option<Head>, Error> {
        // A chain's name is hex; what is not is in no key.
        if chain.len() != 32 || !chain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        Ok(self.0.heads.get(chain).await?.map(|head| head.value))
    }

    async fn heads(&self) -> Result<Vec<Head>, Error> {
        let (mut heads, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.0.heads.list("", None, after.as_deref(), limits::LIST_MOST).await?;
            for chain in &page.keys {
                heads.extend(self.sealed_head(chain).await?);
            }
            after = page.keys.last().cloned();
            if !page.more {
                return Ok(heads);
            }
        }
    }
}

struct Walk<'a> {
    audit: &'a Audit,
    heads: HashMap<String, Option<Head>>,
    at: Option<Link>,
    /// So many lines before the one that showed it stands what is wrong.
    back: usize,
}

/// Why a walk goes no further.
enum Stop {
    /// The line's own number, and what is wrong.
    Wrong { seq: Option<u64>, why: String },
    /// The line could not be looked at.
    Failed(Error),
}

impl Stop {
    fn at(line: &Parsed, why: impl Into<String>) -> Self {
        Self::Wrong { seq: Some(line.seq), why: why.into() }
    }

    fn none_of_ours() -> Self {
        Self::Wrong { seq: None, why: "not a line of the trail".to_owned() }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Walk<'_> {
    async fn step(&mut self, text: &str) -> Result<(), Stop> {
        let Some(line) = Parsed::parse(text) else { return self.unfinished(text) };
        let wrong = |why: &str| Err(Stop::at(&line, why));
        match line.is_whole(text, &self.audit.0.barrier) {
            Ok(true) => {}
            Ok(false) => return wrong("the line was changed"),
            Err(barrier::Error::Corrupt(_)) => return wrong("the line names a key that this store never had"),
            Err(error) => return Err(Stop::Failed(error.into())),
        }
        self.owns_up(&line)?;
        self.follows(&line).await?;
        if self.head(&line.chain).await?.is_some_and(|head| head.seq == line.seq && head.mac != line.mac) {
            return wrong("the line is not the one that was sealed in the store");
        }
        let unkeyed = match line.link {
            LinkKind::Hmac => 0,
            LinkKind::Sha256 => self.at.as_ref().map_or(0, |at| at.unkeyed).saturating_add(1),
        };
        self.at = Some(Link { chain: line.chain, seq: line.seq, mac: line.mac, unkeyed, torn: Vec::new() });
        Ok(())
    }

    /// Does the line come right after where we are?
    async fn follows(&mut self, line: &Parsed) -> Result<(), Stop> {
        let begins = line.seq == 1 && line.operation == START;
        let wrong = |why: &str| Err(Stop::at(line, why));
        let Some(at) = self.at.clone() else {
            return match begins && line.prev == GENESIS {
                true => Ok(()),
                false => wrong("lines before it are missing"),
            };
        };
        if line.chain == at.chain {
            // Where we are was told by a client, so it may be the end of all numbers.
            return match line.seq.checked_sub(at.seq) {
                Some(1) if line.prev == at.mac => Ok(()),
                Some(1) => wrong("the line before it is not the one it follows"),
                None | Some(0) => wrong("the line is out of order or repeated"),
                Some(ahead) => wrong(&format!("{} lines before it are missing", ahead - 1)),
            };
        }
        if let Some(head) = self.head(&at.chain).await?
            && head.seq > at.seq
        {
            return wrong(&missing_at_end(&head, at.seq));
        }
        // A collector of standard output sees every chain begin anew.
        match begins && (line.prev == at.mac || line.prev == GENESIS) {
            true => Ok(()),
            false => wrong("another chain stood before it"),
        }
    }

    /// A line that a sink took only part of; the next line that we wrote says so.
    fn unfinished(&mut self, text: &str) -> Result<(), Stop> {
        let at = self.at.as_mut().filter(|at| at.torn.len() < limits::AUDIT_GROUP).ok_or_else(Stop::none_of_ours)?;
        at.torn.push(text.len());
        Ok(())
    }

    fn owns_up(&mut self, line: &Parsed) -> Result<(), Stop> {
        let torn = self.at.as_ref().map(|at| &at.torn[..]).unwrap_or_default();
        let told = line.values.get("bytes").filter(|_| line.operation == TORN);
        let found: Vec<_> = torn.iter().map(usize::to_string).collect();
        if told.map_or("", String::as_str) == found.join(",") {
            return Ok(());
        }
        self.back = torn.len();
        Err(match torn.is_empty() {
            true => Stop::at(line, "the unfinished line before it is missing"),
            false => Stop::none_of_ours(),
        })
    }

    async fn head(&mut self, chain: &str) -> Result<Option<Head>, Error> {
        if let Some(head) = self.heads.get(chain) {
            return Ok(head.clone());
        }
        let head = self.audit.sealed_head(chain).await?;
        self.heads.insert(chain.to_owned(), head.clone());
        Ok(head)
    }
}

fn missing_at_end(head: &Head, seq: u64) -> String {
    format!("chain {} ends at {seq}, but was sealed in the store at {}", head.chain, head.seq)
}
