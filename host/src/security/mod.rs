//! The document `security`: what sessions, passwords, logins and plugins may be at most.
//!
//! Owns its shape, defaults and bounds, and the live copy that everybody asks. Never applies a
//! rule itself. One more rule is one more field, with its default and its line in `check`.

mod operations;
mod rules;
mod schema;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::{
    barrier,
    document::{Document, Documents},
    fence::{Counter, Fence},
    limits,
};

pub use operations::OPERATIONS;
pub use rules::{Argon2, Bind, Logins, Mounts, OverLimit, Passwords, Plugins, Problem, Rules, Sessions, StepUp, bytes};
pub use schema::schema;

/// The key of the document.
pub const KEY: &str = "security";

/// The rules in force: a cheap handle.
#[derive(Clone, Debug)]
pub struct Security {
    documents: Documents,
    fence: Fence,
    live: Arc<ArcSwap<Live>>,
    /// One at a time reads it anew: an older reading must not replace a newer one.
    refreshing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Live {
    generation: u64,
    rules: Arc<Rules>,
    earlier_costs: Arc<[Argon2]>,
    past_costs: Arc<[Argon2]>,
}

impl Security {
    pub fn new(documents: Documents, fence: Fence) -> Self {
        let (earlier_costs, past_costs) = (Arc::default(), Arc::default());
        let live = Live { generation: u64::MAX, rules: Arc::default(), earlier_costs, past_costs };
        let live = Arc::new(ArcSwap::from_pointee(live));
        Self { documents, fence, live, refreshing: Arc::default() }
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.live.load().rules.clone()
    }

    /// What password hashes cost once, if it was less than today: such hashes are still about.
    pub fn earlier_costs(&self) -> Arc<[Argon2]> {
        self.live.load().earlier_costs.clone()
    }

    /// What password hashes cost at any time that is remembered, dearer than today or not.
    pub fn past_costs(&self) -> Arc<[Argon2]> {
        self.live.load().past_costs.clone()
    }

    /// Reads the document anew if any setting has changed since the last time.
    pub async fn refresh(&self) -> Result<(), barrier::Error> {
        if self.live.load().generation == self.fence.generation(Counter::Settings) {
            return Ok(());
        }
        let _one = self.refreshing.lock().await;
        let generation = self.fence.generation(Counter::Settings);
        if self.live.load().generation == generation {
            return Ok(());
        }
        let current = self.documents.read(KEY).await?;
        let rules = match current.document() {
            None => Rules::default(),
            Some(document) => Rules::parse(&document.value).map_err(|_| barrier::Error::Corrupt(KEY.to_owned()))?,
        };
        let past = self.documents.history(KEY).await?;
        let past_costs: Arc<[Argon2]> = costs(&past).into();
        let earlier_costs = earlier(&rules.passwords.argon2, &past_costs).into();
        self.live.store(Arc::new(Live { generation, rules: Arc::new(rules), earlier_costs, past_costs }));
        Ok(())
    }
}

/// Each once, the newest first.
fn costs(past: &[Document]) -> Vec<Argon2> {
    let cost =
        |document: &Document| Rules::parse(&document.value).map_or_else(|_| Argon2::default(), |r| r.passwords.argon2);
    let mut found: Vec<Argon2> = Vec::new();
    // Before the first change, and after a deletion, it was the default.
    for cost in past.iter().map(cost).chain([Argon2::default()]) {
        if !found.contains(&cost) {
            found.push(cost);
        }
    }
    found
}

/// The newest few costs below the present one, of which there may still be hashes. Dearer ones are
/// not among them: what was set by mistake once must not be spent on every refusal for ever.
fn earlier(present: &Argon2, past: &[Argon2]) -> Vec<Argon2> {
    let work = |cost: &Argon2| u64::from(cost.memory_kib) * u64::from(cost.iterations);
    let cheaper = past.iter().filter(|cost| *cost != present && work(cost) <= work(present));
    cheaper.take(limits::PASSWORD_EARLIER_COSTS).copied().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn earlier_costs_are_the_cheaper_ones_that_were_in_force() {
        let set = |memory_kib: u32| json!({"passwords": {"argon2": {"memory_kib": memory_kib}}});
        let document = |value: Value| Document {
            deleted: value.is_null(),
            value,
            number: 1,
            updated_at: Timestamp::from_millis(1),
            updated_by: None,
        };
        let past = |values: &[Value]| values.iter().cloned().map(document).collect::<Vec<_>>();
        let cost = |memory_kib| Argon2 { memory_kib, ..Argon2::default() };
        let default = Argon2::default().memory_kib;
        let of = |present, values: &[Value]| {
            earlier(&cost(present), &costs(&past(values))).iter().map(|cost| cost.memory_kib).collect::<Vec<_>>()
        };
        assert!(of(default, &[]).is_empty());
        assert!(of(default, &[json!({"sessions": {"idle": "1h"}})]).is_empty());
        assert_eq!(of(65_536, &[set(65_536)]), [default]);
        assert_eq!(of(65_536, &[set(65_536), Value::Null, set(32_768)]), [default, 32_768]);
        assert!(of(default, &[set(default), set(1_000_000)]).is_empty(), "what is dearer than today is not spent");
        let all = costs(&past(&[set(default), set(1_000_000), set(1_000_000)]));
        assert_eq!(all.iter().map(|cost| cost.memory_kib).collect::<Vec<_>>(), [default, 1_000_000], "it is verified");
        assert_eq!(of(90_000, &[set(90_000), set(80_000), set(70_000), set(60_000)]), [80_000, 70_000, 60_000]);
    }
}
