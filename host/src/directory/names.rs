use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Directory, Error, User, decode};
use crate::{
    ids::{UserId, Username},
    limits,
};

/// Everybody's name, in order, as of a generation of users: no name stands in a key, so it takes
/// a look at everybody to find out.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<Option<Arc<Known>>>,
    /// One at a time looks.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    generation: u64,
    /// None: more than are remembered.
    names: Option<Vec<(Username, UserId)>>,
}

impl Names {
    fn known(&self, generation: u64) -> Option<Arc<Known>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|known| known.generation == generation)
    }

    fn keep(&self, known: Option<Arc<Known>>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

impl Directory {
    /// Those to be shown, in byte order of their names, from after `after` on; and where to go on.
    /// `generation` moves whenever a user has come or gone: the look at everybody is remembered
    /// until then.
    pub async fn page(
        &self,
        generation: u64,
        after: Option<&Username>,
        limit: usize,
        shown: impl Fn(&User) -> bool + Send,
    ) -> Result<(Vec<User>, Option<Username>), Error> {
        let known = self.known(generation).await?;
        let Some(names) = &known.names else { return self.page_by_look(after, limit, shown).await };
        let from = after.map_or(0, |after| names.partition_point(|(name, _)| name <= after));
        let mut users: Vec<User> = Vec::new();
        // One more than is asked for: that there are more must be known.
        for some in names[from..].chunks((limit + 1).clamp(1, limits::LIST_MOST)) {
            let ids: Vec<&str> = some.iter().map(|(_, id)| id.as_str()).collect();
            for (id, stored) in ids.iter().zip(self.users.get_many_bytes(&ids).await?) {
                // Gone meanwhile.
                let Some(stored) = stored else { continue };
                let user: User = decode(&stored.value, id)?;
                if shown(&user) {
                    users.push(user);
                }
            }
            if users.len() > limit {
                break;
            }
        }
        Ok(cut(users, limit))
    }

    /// The store is sealed: nobody's name is remembered.
    pub fn forget(&self) {
        self.order.keep(None);
    }

    async fn known(&self, generation: u64) -> Result<Arc<Known>, Error> {
        if let Some(known) = self.order.known(generation) {
            return Ok(known);
        }
        let _one = self.order.looking.lock().await;
        if let Some(known) = self.order.known(generation) {
            return Ok(known);
        }
        let (mut names, mut from) = (Vec::new(), None);
        let complete = loop {
            let (users, next) = self.list(from.as_ref(), limits::LIST_MOST).await?;
            names.extend(users.into_iter().map(|user| (user.username, user.id)));
            from = next;
            if from.is_none() || names.len() > limits::NAMES_REMEMBERED {
                break from.is_none();
            }
        };
        names.sort_unstable();
        let known = Arc::new(Known { generation, names: complete.then_some(names) });
        self.order.keep(Some(known.clone()));
        // Sealed meanwhile: what was read is to be forgotten.
        if self.barrier.is_sealed() {
            self.forget();
        }
        Ok(known)
    }

    /// The same where there are too many to remember: each page is a look at everybody, of whom no
    /// more than a page is held at a time.
    async fn page_by_look(
        &self,
        after: Option<&Username>,
        limit: usize,
        shown: impl Fn(&User) -> bool + Send,
    ) -> Result<(Vec<User>, Option<Username>), Error> {
        let (mut kept, mut from) = (BTreeMap::new(), None);
        loop {
            let (users, next) = self.list(from.as_ref(), limits::LIST_MOST).await?;
            for user in users {
                if after.is_none_or(|after| user.username > *after) && shown(&user) {
                    kept.insert(user.username.clone(), user);
                }
                if kept.len() > limit + 1 {
                    kept.pop_last();
                }
            }
            from = next;
            if from.is_none() {
                break;
            }
        }
        Ok(cut(kept.into_values().collect(), limit))
    }
}

/// A page, and where to go on if there are more.
fn cut(mut users: Vec<User>, limit: usize) -> (Vec<User>, Option<Username>) {
    let more = users.len() > limit;
    users.truncate(limit);
    let next = users.last().filter(|_| more).map(|user| user.username.clone());
    (users, next)
}
